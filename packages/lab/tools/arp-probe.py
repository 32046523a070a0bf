#!/usr/bin/python3 -IS
"""arp-probe.py IFNAME ADDRESS [SECONDS]: broadcasts who-has each 0.2 s and prints every MAC address that answers, one a line."""
import fcntl
import socket
import struct
import sys
import time

SIOCGIFADDR, ETH_P_ARP = 0x8915, 0x0806
ifname, target = sys.argv[1], socket.inet_aton(sys.argv[2])
deadline = time.monotonic() + (float(sys.argv[3]) if len(sys.argv) > 3 else 0.6)
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
sock.bind((ifname, ETH_P_ARP))
mac = sock.getsockname()[4]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    source = fcntl.ioctl(any_socket, SIOCGIFADDR, struct.pack("256s", ifname.encode()))[20:24]
request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + mac + source + bytes(6) + target
frame = b"\xff" * 6 + mac + struct.pack(">H", ETH_P_ARP) + request
holders, next_send = set(), 0.0
while (now := time.monotonic()) < deadline:
    if now >= next_send:
        sock.send(frame)
        next_send = now + 0.2
    sock.settimeout(max(0.001, min(deadline, next_send) - now))
    try:
        heard = sock.recv(100)
    except TimeoutError:
        continue
    if heard[20:22] == b"\0\2" and heard[28:32] == target:
        holders.add(heard[22:28].hex(":"))
print("\n".join(sorted(holders)))
