"""What the benches' runs have in common, inside a fresh network namespace of the lab's guest: keepalived and the shipped agent as subjects that are
started, told and ended, the look at the kernel's table, and what /proc says a process costs. Imported by *-run.py beside it."""
import importlib.util, json, os, signal, socket, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("ipvs_poller", os.path.join(here, "ipvs-poller.py"))
ipvs_poller = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ipvs_poller)

quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def when_seen(poller, vip, port, count):
    """CLOCK_MONOTONIC seconds at which the service was first seen with so many destinations."""
    return ipvs_poller.wait(poller, vip, int(port), lambda found: len(found) == int(count))


def rules():
    """How many services and destinations the kernel really holds, by ipvsadm."""
    return len(subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True).stdout.splitlines())


def start_keepalived(conf):
    folder = tempfile.mkdtemp()
    pids = [os.path.join(folder, name) for name in ("main.pid", "checkers.pid")]
    # -n no fork, -G no syslog, -C only the IPVS part: the least that keepalived can be asked to do here
    return subprocess.Popen(["keepalived", "-n", "-G", "-C", "-f", conf, "-p", pids[0], "-c", pids[1]], **quiet)


def end(process, seconds=30):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Agent:
    """The shipped agent with a state folder of its own, running and waiting at its control socket."""

    def __init__(self, program):
        self.state = tempfile.mkdtemp()
        environment = dict(os.environ, TRIGON_STATE=self.state, TRIGON_POLICY=os.path.join(self.state, "policy.yaml"))
        log = open(os.path.join(self.state, "log"), "w")
        self.process = subprocess.Popen([program, "run"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        self.control = os.path.join(self.state, "agent.sock")
        deadline = time.monotonic() + 30
        while not os.path.exists(self.control):
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit("the agent did not start: " + open(log.name).read())
            time.sleep(0.02)

    def ask(self, what, body=b"", meanwhile=lambda: None):
        """One request; answers (what `meanwhile` answered while it ran, when the request was sent, the answer's bytes)."""
        head = "POST /%s HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (what, len(body))
        request = head.encode() + body
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(self.control)
        begun = time.monotonic()
        channel.sendall(request)
        seen = meanwhile()
        stream = channel.makefile("rb")
        first = stream.readline()
        if b" 200 " not in first:
            sys.exit("the agent refused /%s: %r" % (what, first))
        while stream.readline().strip():
            pass
        answer = stream.read()
        channel.close()
        return seen, begun, answer

    def hand_over(self, path, until_seen=lambda: None):
        """Sends a plan; answers how many seconds it took until `until_seen` answered its time."""
        with open(path, "rb") as file:
            body = file.read()
        seen, begun, _ = self.ask("apply", body, until_seen)
        return None if seen is None else seen - begun

    def kill(self):
        self.process.kill()
        self.process.wait()


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return {int(word) for word in file.read().split()}


def lasting(pid, wait=lambda: time.sleep(3)):
    """A process and those children that live on while `wait` runs: programs that it only runs count once they ended."""
    before = children(pid)
    wait()
    return [pid, *(before & children(pid))]


def cpu_seconds(pids):
    """What they and their ended children used so far."""
    total = 0
    for pid in pids:
        with open("/proc/%d/stat" % pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += sum(int(field) for field in fields[11:15])  # utime, stime and those of ended children, proc(5)
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb(pids, kind="VmRSS"):
    """VmRSS: now; VmHWM: the most so far."""
    total = 0
    for pid in pids:
        with open("/proc/%d/status" % pid) as file:
            total += next(int(line.split()[1]) for line in file if line.startswith(kind + ":"))
    return total / 1024
