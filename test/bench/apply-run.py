#!/usr/bin/python3 -IS
"""One run of the apply bench inside a fresh network namespace of the lab's guest: starts one subject, watches the kernel's table with
ipvs-poller.py, and prints {"ms": …, "rules": …} as its last line.

apply-run.py ipvsadm RULES VIP PORT COUNT                ipvsadm -R from a file
apply-run.py keepalived CONF VIP PORT COUNT              keepalived's start, logging off
apply-run.py keepalived-reload CONF CONF2 VIP PORT COUNT COUNT2   SIGHUP after the file was replaced by CONF2
apply-run.py floor SENDS VIP PORT COUNT                  prebuilt netlink bytes, one ACK a send (run by node floor-send.mjs)
apply-run.py agent AGENT PLAN VIP PORT COUNT [CHANGE COUNT2 [CHANGE COUNT3 …]]   the shipped agent, running; plans handed to its control socket
The clock starts when the subject is started (keepalived, ipvsadm), told (SIGHUP) has its bytes in memory (floor), or is about to
be sent the plan (agent: so reading, judging, caching and journalling it all count). "changesMs" are the later plans, one real server more each."""
import importlib.util, json, os, signal, socket, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("ipvs_poller", os.path.join(here, "ipvs-poller.py"))
poller_module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(poller_module)

subject, arguments = sys.argv[1], sys.argv[2:]
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
poller = poller_module.Poller()
changes_ms = []


def seen(vip, port, count):
    return poller_module.wait(poller, vip, int(port), lambda found: len(found) == int(count))


def rules():
    """How many services and destinations the kernel really holds, by ipvsadm."""
    return len(subprocess.run(["ipvsadm", "-Sn"], capture_output=True, text=True).stdout.splitlines())


def keepalived(conf):
    folder = tempfile.mkdtemp()
    pids = [os.path.join(folder, name) for name in ("main.pid", "checkers.pid")]
    # -n no fork, -G no syslog, -C only the IPVS part: the least that keepalived can be asked to do here
    command = ["keepalived", "-n", "-G", "-C", "-f", conf, "-p", pids[0], "-c", pids[1]]
    return subprocess.Popen(command, **quiet)


def end(process):
    process.send_signal(signal.SIGTERM)
    process.wait(30)


if subject == "ipvsadm":
    path, vip, port, count = arguments
    start = time.monotonic()
    process = subprocess.Popen(["ipvsadm", "-R"], stdin=open(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = seen(vip, port, count)
    process.wait()
    held = rules()
elif subject == "keepalived":
    path, vip, port, count = arguments
    start = time.monotonic()
    process = keepalived(path)
    done = seen(vip, port, count)
    held = rules()
    end(process)
elif subject == "keepalived-reload":
    path, changed, vip, port, count, count_after = arguments
    live = tempfile.mkdtemp() + "/keepalived.conf"
    with open(live, "w") as file:
        file.write(open(path).read())
    process = keepalived(live)
    seen(vip, port, count)
    time.sleep(0.5)  # lets its start-up work end, to its own advantage; nothing is waited for
    with open(live, "w") as file:
        file.write(open(changed).read())
    start = time.monotonic()
    process.send_signal(signal.SIGHUP)
    done = seen(vip, port, count_after)
    held = rules()
    end(process)
elif subject == "floor":
    path, vip, port, count = arguments
    process = subprocess.Popen(["node", os.path.join(here, "floor-send.mjs"), path, str(poller.family)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()  # "ready": the bytes are in memory, the socket is open
    start = time.monotonic()
    process.stdin.write("go\n")
    process.stdin.flush()
    done = seen(vip, port, count)
    process.wait()
    held = rules()
elif subject == "agent":
    agent, path, vip, port, count, *changes = arguments
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

    def hand_over(path, count):
        """Sends a plan and answers how long it took until the poller saw it."""
        body = open(path, "rb").read()
        request = b"POST /apply HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(control)
        begun = time.monotonic()
        channel.sendall(request)
        took = seen(vip, port, count) - begun
        answer = channel.makefile("rb").readline()
        if b" 200 " not in answer:
            sys.exit("the agent refused the plan: %r" % answer)
        channel.close()
        return took

    start = 0.0
    done = hand_over(path, count)
    held = rules()
    changes_ms = [hand_over(changes[i], changes[i + 1]) * 1000 for i in range(0, len(changes), 2)]
    process.kill()
    process.wait()
else:
    sys.exit(__doc__)
print(json.dumps({"ms": (done - start) * 1000, "rules": held, "changesMs": changes_ms}))
