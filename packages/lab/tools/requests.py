#!/usr/bin/python3 -IS
"""requests.py HOST:PORT COUNT REQUEST_BYTES REPLY_BYTES: COUNT connections one after the other; JSON of who answered and how many bytes came."""
import collections
import json
import socket
import sys

address, port = sys.argv[1].rsplit(":", 1)
count, request_bytes, reply_bytes = map(int, sys.argv[2:5])
servers, received = collections.Counter(), 0
request = b"POST /bytes/%d HTTP/1.1\r\nHost: lab\r\nContent-Length: %d\r\n\r\n" % (reply_bytes, request_bytes) + b"x" * request_bytes
for _ in range(count):
    sock = socket.create_connection((address, int(port)), 5)
    sock.sendall(request)
    head = b""
    while data := sock.recv(1 << 18):
        if b"\r\n\r\n" not in head:
            head += data[:2000]
        received += len(data)
    sock.close()
    at = head.find(b"X-Server: ")
    servers[head[at + 10 : head.find(b"\r", at)].decode()] += 1
print(json.dumps({"servers": dict(servers), "received": received}))
