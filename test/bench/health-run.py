#!/usr/bin/python3 -IS
"""One run of the health bench inside a fresh network namespace of the lab's guest: a listener answers for every endpoint and notes when each
was asked; one subject checks them all once a second. Prints {"cpuPercent", "rssMb", "probes", "p50LatenessMs", "p99LatenessMs"} as its last line.

health-run.py keepalived CONF ENDPOINTS SECONDS
health-run.py agent AGENT PLAN ENDPOINTS SECONDS
Lateness is measured at the listener, the same for both: how much more than a second lies between two probes of one endpoint. The clock starts
when every endpoint was asked twice."""
import array, json, os, select, signal, socket, subprocess, sys, tempfile, time

subject, arguments = sys.argv[1], sys.argv[2:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
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


def family(pid):
    """A process and those children that live on for a moment: programs that it only runs count once they ended."""
    def children():
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return {int(word) for word in file.read().split()}

    lasting = children()
    deadline = time.monotonic() + 3
    listen(lambda: time.monotonic() > deadline)
    return [pid, *(lasting & children())]


def ticks(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += sum(int(field) for field in fields[11:15])  # utime, stime and those of ended children, proc(5)
    return total


def rss_mb(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/status" % pid) as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    return total / 1024


if subject == "keepalived":
    folder = tempfile.mkdtemp()
    pids = [os.path.join(folder, name) for name in ("main.pid", "checkers.pid")]
    process = subprocess.Popen(["keepalived", "-n", "-G", "-C", "-f", inputs[0], "-p", pids[0], "-c", pids[1]], **quiet)
elif subject == "agent":
    agent, plan = inputs
    state = tempfile.mkdtemp()
    environment = dict(os.environ, TRIGON_STATE=state, TRIGON_POLICY=os.path.join(state, "policy.yaml"))
    log = open(os.path.join(state, "log"), "w")
    process = subprocess.Popen(["node", agent, "run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    control = os.path.join(state, "agent.sock")
    deadline = time.monotonic() + 30
    while not os.path.exists(control):
        if time.monotonic() > deadline or process.poll() is not None:
            sys.exit("the agent did not start: " + open(log.name).read())
        time.sleep(0.02)
    body = open(plan, "rb").read()
    request = b"POST /apply HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    channel = socket.socket(socket.AF_UNIX)
    channel.connect(control)
    channel.sendall(request)
    answer = channel.makefile("rb").readline()
    if b" 200 " not in answer:
        sys.exit("the agent refused the plan: %r" % answer)
    channel.close()
else:
    sys.exit(__doc__)

deadline = time.monotonic() + 90
listen(lambda: (len(asked) >= endpoints and all(len(times) >= 2 for times in asked.values())) or time.monotonic() > deadline)
if len(asked) < endpoints:
    sys.exit("%s asked only %d of %d endpoints within 90 s" % (subject, len(asked), endpoints))
pids = family(process.pid)
for address in asked:
    asked[address] = asked[address][-1:]
before, begun = ticks(pids), time.monotonic()
listen(lambda: time.monotonic() - begun > seconds)
took = time.monotonic() - begun
used = ticks(pids) - before
memory = rss_mb(pids)
down = subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True).stdout.count(" -w 0")
process.send_signal(signal.SIGTERM)
try:
    process.wait(20)
except subprocess.TimeoutExpired:
    process.kill()
lateness = sorted(max(0.0, b - a - 1.0) * 1000 for times in asked.values() for a, b in zip(times, times[1:]))
silent = sum(1 for times in asked.values() if len(times) < 2)
if down or silent:
    sys.exit("%d endpoints were taken out and %d were not asked again, though all answer" % (down, silent))
at = lambda share: lateness[min(len(lateness) - 1, int(len(lateness) * share))]
print(json.dumps({
    "cpuPercent": 100 * used / os.sysconf("SC_CLK_TCK") / took,
    "rssMb": memory,
    "probes": len(lateness),
    "p50LatenessMs": at(0.5),
    "p99LatenessMs": at(0.99),
}))
