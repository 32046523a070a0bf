#!/usr/bin/python3 -IS
"""load.py SECONDS RATE CONCURRENCY HELD HOST:PORT/PATH...: HTTP load from one epoll loop, JSON lines on stdout.

RATE new connections a second, spread over the targets, whatever the answers do (open loop); with RATE 0, CONCURRENCY requests are in
flight all the time (closed loop). HELD connections more each fetch /slow: silent for 3 s or closed early is a failure, and it is opened again.
SECONDS 0 runs until stdin ends.

    {"event": "steady"}    all held connections receive, or there are none
    {"event": "failure", "start", "end", "target", "held", "reason"}    wall-clock seconds
    {"event": "summary", ...}    the last line
"""
import collections
import errno
import json
import select
import socket
import sys
import time

SECONDS, RATE, CONCURRENCY, HELD = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
TIMEOUT = 3.0
PROMPT = 0.25  # a lost packet is sent again after 200 ms or later: who waited longer began in a gap
HELD_REQUEST = b"GET /slow/500/1000000 HTTP/1.1\r\nHost: lab\r\n\r\n"
now = time.monotonic
WALL = time.time() - now()


class Target:
    def __init__(self, text):
        place, _, path = text.partition("/")
        host, _, port = place.rpartition(":")
        self.text, self.address = text, (host, int(port))
        self.request = b"GET /%s HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n" % path.encode()


class Connection:
    __slots__ = ("sock", "active", "target", "head", "received", "held")

    def __init__(self, sock, target, held):
        self.sock, self.active, self.target, self.head, self.received, self.held = sock, now(), target, b"", 0, held


targets = [Target(text) for text in sys.argv[5:]]
epoll, connections = select.epoll(), {}
started = ok = failed = held_failed = late = in_flight = receiving = 0
prompt = collections.defaultdict(list)  # by target: when each connection began that was answered at once
servers, latencies, per_second = collections.Counter(), [], collections.Counter()


def emit(**line):
    print(json.dumps(line), flush=True)


def failure(connection, reason):
    global failed, held_failed
    if connection.held:
        held_failed += 1
    else:
        failed += 1
    emit(event="failure", start=round(WALL + connection.active, 4), end=round(WALL + now(), 4), target=connection.target.text, held=connection.held, reason=reason)


def start(target, held=False):
    global started, in_flight
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    connection = Connection(sock, target, held)
    if not held:
        started += 1
    try:
        sock.connect(target.address)
    except BlockingIOError:
        pass
    except OSError as problem:
        sock.close()
        failure(connection, errno.errorcode.get(problem.errno, "?"))
        return
    connections[sock.fileno()] = connection
    epoll.register(sock.fileno(), select.EPOLLOUT | select.EPOLLERR)
    if not held:
        in_flight += 1


def finish(fd, connection, reason=None):
    global ok, in_flight, receiving
    del connections[fd]
    connection.sock.close()
    if connection.held:
        receiving -= connection.received > 0
        failure(connection, reason or "closed")
        if now() < end:
            start(connection.target, True)
        return
    in_flight -= 1
    if reason:
        failure(connection, reason)
        return
    ok += 1
    latencies.append(now() - connection.active)
    if latencies[-1] <= PROMPT:
        prompt[connection.target.text].append(connection.active)
    per_second[int(WALL + now())] += 1
    at = connection.head.find(b"X-Server: ")
    servers[connection.head[at + 10 : connection.head.find(b"\r", at)].decode() if at > 0 else "?"] += 1


def handle(fd, connection, event):
    global receiving
    if event & select.EPOLLOUT:
        try:
            connection.sock.send(HELD_REQUEST if connection.held else connection.target.request)
            epoll.modify(fd, select.EPOLLIN)
        except OSError as problem:
            finish(fd, connection, errno.errorcode.get(problem.errno, "?"))
        return
    try:
        data = connection.sock.recv(262144)
    except BlockingIOError:
        return
    except OSError as problem:
        finish(fd, connection, errno.errorcode.get(problem.errno, "?"))
        return
    if not data:
        answered = not connection.held and connection.head.startswith(b"HTTP/1.1 200")
        finish(fd, connection, None if answered else "closed" if connection.received else "empty")
        return
    if connection.held:
        receiving += connection.received == 0
        connection.active = now()
    connection.received += len(data)
    if len(connection.head) < 512:
        connection.head += data[:512]


def sweep(time_now):
    for fd, connection in list(connections.items()):
        if time_now - connection.active > TIMEOUT:
            finish(fd, connection, "timeout")


def percentile(share):
    return round(1000 * latencies[min(len(latencies) - 1, int(len(latencies) * share))], 1) if latencies else None


begin = next_start = now()
end = begin + SECONDS if SECONDS else float("inf")
next_sweep, turn, steady = begin + 0.5, 0, False
if not SECONDS:
    epoll.register(0, select.EPOLLIN | select.EPOLLHUP)
for index in range(HELD):
    start(targets[index % len(targets)], True)
while True:
    time_now = now()
    if not steady and receiving == HELD:
        steady = True
        emit(event="steady")
    if time_now >= end and (in_flight == 0 or time_now > end + TIMEOUT + 1):
        break
    wait = 0.1
    if time_now < end:
        if RATE:
            while next_start <= time_now:
                if time_now - next_start > 1:
                    late += 1  # this client cannot keep up: not a failure of the target, but it is reported
                else:
                    start(targets[turn % len(targets)])
                    turn += 1
                next_start += 1 / RATE
            wait = min(0.25, max(0, next_start - now()))
        else:
            while in_flight < CONCURRENCY:
                start(targets[turn % len(targets)])
                turn += 1
    for fd, event in epoll.poll(wait, 512):
        if fd == 0:
            epoll.unregister(0)
            end = now()
        elif fd in connections:
            handle(fd, connections[fd], event)
    if time_now > next_sweep:
        next_sweep = time_now + 0.5
        sweep(time_now)
gaps = [b - a for begun in prompt.values() for a, b in zip(sorted(begun), sorted(begun)[1:])]
latencies.sort()
elapsed = min(end, now()) - begin
emit(
    event="summary", seconds=round(elapsed, 2), started=started, ok=ok, failed=failed, heldFailed=held_failed, clientLate=late,
    perSecond=round(ok / elapsed, 1) if elapsed else 0, p50Ms=percentile(0.5), p99Ms=percentile(0.99), maxMs=percentile(1),
    gapMs=round(1000 * max(gaps)) if gaps else None, servers=dict(servers),
)
