#!/usr/bin/python3 -IS
"""One run of the health bench inside a fresh network namespace of the lab's guest: a listener answers for every endpoint and notes when each
was asked; one subject checks them all once a second. Prints {"cpuPercent", "rssMb", "probes", "p50LatenessMs", "p99LatenessMs"} as its last line.

health-run.py keepalived CONF ENDPOINTS SECONDS
health-run.py agent AGENT PLAN ENDPOINTS SECONDS
health-run.py floor ADDRESSES ENDPOINTS SECONDS               bare connections at the same rate (node floor-probe.mjs)
Lateness is measured at the listener, the same for both: how much more than a second lies between two probes of one endpoint. The clock starts
when every endpoint was asked twice."""
import array, json, os, select, socket, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import subjects

subject, arguments = sys.argv[1], sys.argv[2:]
*inputs, endpoints, seconds = arguments
endpoints, seconds = int(endpoints), float(seconds)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


ip("link", "set", "lo", "up")
for network in ("10.110.0.0/16", "10.111.0.0/16"):
    ip("route", "add", "local", network, "dev", "lo")

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", 80))
listener.listen(4096)
listener.setblocking(False)
asked = {}


def listen(until):
    """Takes connections until `until()` says that it is enough; each is noted by the address it was for."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not until():
        poll.poll(20)
        try:
            while True:
                connection, _ = listener.accept()
                at = time.monotonic()
                asked.setdefault(connection.getsockname()[0], array.array("d")).append(at)
                connection.close()
        except BlockingIOError:
            pass
        except ConnectionAbortedError:
            pass


def listen_for(duration):
    over = time.monotonic() + duration
    listen(lambda: time.monotonic() > over)


if subject == "keepalived":
    process = subjects.start_keepalived(inputs[0])
elif subject == "agent":
    agent = subjects.Agent(inputs[0])
    agent.hand_over(inputs[1])
    process = agent.process
elif subject == "floor":
    process = subprocess.Popen(["node", os.path.join(subjects.here, "floor-probe.mjs"), inputs[0]], stdin=subprocess.DEVNULL)
else:
    sys.exit(__doc__)

deadline = time.monotonic() + 90
listen(lambda: (len(asked) >= endpoints and all(len(times) >= 2 for times in asked.values())) or time.monotonic() > deadline)
if len(asked) < endpoints:
    sys.exit("%s asked only %d of %d endpoints within 90 s" % (subject, len(asked), endpoints))
pids = subjects.lasting(process.pid, lambda: listen_for(3))
for address in asked:
    asked[address] = asked[address][-1:]
before, begun = subjects.cpu_seconds(pids), time.monotonic()
listen_for(seconds)
took = time.monotonic() - begun
used = subjects.cpu_seconds(pids) - before
memory = subjects.memory_mb(pids)
down = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True).stdout.count(" -w 0")
subjects.end(process, 20)
lateness = sorted(max(0.0, b - a - 1.0) * 1000 for times in asked.values() for a, b in zip(times, times[1:]))
silent = sum(1 for times in asked.values() if len(times) < 2)
if down or silent:
    sys.exit("%d endpoints were taken out and %d were not asked again, though all answer" % (down, silent))
at = lambda share: lateness[min(len(lateness) - 1, int(len(lateness) * share))]
print(json.dumps({
    "cpuPercent": 100 * used / took,
    "rssMb": memory,
    "probes": len(lateness),
    "p50LatenessMs": at(0.5),
    "p99LatenessMs": at(0.99),
}))
