#!/usr/bin/python3 -IS
"""udp-listen.py PORT: prints `listening`, then `SOURCE TARGET TEXT` for each datagram that any address of this host takes on PORT."""
import socket
import sys

IP_PKTINFO = 8
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
listener.bind(("0.0.0.0", int(sys.argv[1])))
print("listening", flush=True)
while True:
    text, ancillary, _, (source, _port) = listener.recvmsg(2048, 64)
    target = next(data[8:12] for _level, kind, data in ancillary if kind == IP_PKTINFO)
    print(source, socket.inet_ntoa(target), text.decode(errors="replace"), flush=True)
