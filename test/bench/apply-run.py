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
import json, os, shutil, signal, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import subjects

subject, arguments = sys.argv[1], sys.argv[2:]
poller = subjects.ipvs_poller.Poller()
changes_ms = []


def seen(vip, port, count):
    return subjects.when_seen(poller, vip, port, count)


if subject == "ipvsadm":
    path, vip, port, count = arguments
    start = time.monotonic()
    process = subprocess.Popen(["ipvsadm", "-R"], stdin=open(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    done = seen(vip, port, count)
    process.wait()
    held = subjects.rules()
elif subject == "keepalived":
    path, vip, port, count = arguments
    start = time.monotonic()
    process = subjects.start_keepalived(path)
    done = seen(vip, port, count)
    held = subjects.rules()
    subjects.end(process)
elif subject == "keepalived-reload":
    path, changed, vip, port, count, count_after = arguments
    live = shutil.copy(path, tempfile.mkdtemp() + "/keepalived.conf")
    process = subjects.start_keepalived(live)
    seen(vip, port, count)
    time.sleep(0.5)  # lets its start-up work end, to its own advantage; nothing is waited for
    shutil.copy(changed, live)
    start = time.monotonic()
    process.send_signal(signal.SIGHUP)
    done = seen(vip, port, count_after)
    held = subjects.rules()
    subjects.end(process)
elif subject == "floor":
    path, vip, port, count = arguments
    process = subprocess.Popen(["node", os.path.join(subjects.here, "floor-send.mjs"), path, str(poller.family)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()  # "ready": the bytes are in memory, the socket is open
    start = time.monotonic()
    process.stdin.write("go\n")
    process.stdin.flush()
    done = seen(vip, port, count)
    process.wait()
    held = subjects.rules()
elif subject == "agent":
    program, path, vip, port, count, *changes = arguments
    agent = subjects.Agent(program)
    start = 0.0
    done = agent.hand_over(path, lambda: seen(vip, port, count))
    held = subjects.rules()
    for change, after in zip(changes[::2], changes[1::2]):
        changes_ms.append(agent.hand_over(change, lambda: seen(vip, port, after)) * 1000)
    agent.kill()
else:
    sys.exit(__doc__)
print(json.dumps({"ms": (done - start) * 1000, "rules": held, "changesMs": changes_ms}))
