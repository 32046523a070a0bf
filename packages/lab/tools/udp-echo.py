#!/usr/bin/python3 -IS
"""udp-echo.py ADDRESS:PORT...: answers `ping` with `pong` from the address that was asked, and nothing else. IPv6 addresses in brackets."""
import select
import socket
import sys

IP_FREEBIND = 15
IPV6_FREEBIND = 78
sockets = []
for where in sys.argv[1:]:
    address, port = where.rsplit(":", 1)
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    own = socket.socket(family, socket.SOCK_DGRAM)
    # The VIP may come later.
    own.setsockopt(*((socket.IPPROTO_IPV6, IPV6_FREEBIND, 1) if family == socket.AF_INET6 else (socket.IPPROTO_IP, IP_FREEBIND, 1)))
    own.bind((address.strip("[]"), int(port)))
    sockets.append(own)
while True:
    for own in select.select(sockets, [], [])[0]:
        text, source = own.recvfrom(2048)
        if text == b"ping":
            try:
                own.sendto(b"pong", source)
            except PermissionError:
                pass  # a firewall's word
