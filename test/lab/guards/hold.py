#!/usr/bin/python3 -IS
"""hold.py ADDRESS PORT: connects, sends half of a request, says `held`, waits for a line, sends the other half, and says what became of the connection:
`answered`, `reset` or, after 3 s, `silent`."""
import socket
import sys

connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
connection.sendall(b"GET / HTTP/1.0\r\n")
print("held", flush=True)
sys.stdin.readline()
connection.settimeout(3)
try:
    connection.sendall(b"\r\n")
    print("answered" if connection.recv(4096) else "closed", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
except socket.timeout:
    print("silent", flush=True)
