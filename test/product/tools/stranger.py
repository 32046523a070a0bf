#!/usr/bin/python3 -IS
"""stranger.py OUTER_SRC OUTER_DST INNER_SRC INNER_DST udp|icmp|syn PORT TEXT: sends one crafted IP-in-IP packet (protocol 4), three times.

The outer source may be forged: the header is written whole, checksums too. `udp` carries TEXT, `icmp` is an echo request with TEXT,
`syn` opens a TCP connection from port 4321. PORT is the inner destination port (of `icmp`: the echo identifier).
"""
import socket
import struct
import sys


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source, target, protocol, payload):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0x5452, 0, 64, protocol, 0, source, target)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def summed(source, target, protocol, segment, at):
    pseudo = source + target + struct.pack(">BBH", 0, protocol, len(segment))
    return segment[:at] + struct.pack(">H", checksum(pseudo + segment)) + segment[at + 2 :]


outer_source, outer_target, source, target = (socket.inet_aton(address) for address in sys.argv[1:5])
kind, port, text = sys.argv[5], int(sys.argv[6]), sys.argv[7].encode()
if kind == "udp":
    inner = ip(source, target, 17, summed(source, target, 17, struct.pack(">HHHH", 4321, port, 8 + len(text), 0) + text, 6))
elif kind == "syn":
    inner = ip(source, target, 6, summed(source, target, 6, struct.pack(">HHIIBBHHH", 4321, port, 1, 0, 0x50, 2, 65535, 0, 0), 16))
else:
    echo = struct.pack(">BBHHH", 8, 0, 0, port, 1) + text
    inner = ip(source, target, 1, echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:])
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(3):
    raw.sendto(ip(outer_source, outer_target, 4, inner), (sys.argv[2], 0))
