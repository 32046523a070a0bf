#!/usr/bin/python3 -IS
"""One run of the reconcile bench inside a fresh network namespace of the lab's guest: one subject is given a table, then changes of one real
server each, and is looked at by ipvs-poller.py and /proc alone. Prints one line of JSON last:
{"startMs", "rules", "changesMs": […], "rssMb", "peakMb"}, of the agent also {"sweepBoundMs", "sweepCpuPercent"}.

reconcile-run.py keepalived CONF VIP PORT COUNT CHANGED COUNT2 [CHANGED COUNT3 …]   each SIGHUP after the file was replaced by CHANGED
reconcile-run.py agent AGENT PLAN VIP PORT COUNT CHANGE COUNT2 [CHANGE COUNT3 …]    plans handed to its control socket
The clock starts when keepalived is started or told, and when the running agent is about to be sent the plan. The idle sweep is measured over 100 s
once its bound is known, of all that the agent's process uses: what else it does while idle counts too."""
import json, os, shutil, signal, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import subjects

subject, arguments = sys.argv[1], sys.argv[2:]
poller = subjects.ipvs_poller.Poller()
program = arguments.pop(0) if subject == "agent" else None
path, vip, port, count, *changes = arguments
changes = list(zip(changes[::2], changes[1::2]))
seen = lambda number: subjects.when_seen(poller, vip, port, number)
found = {"changesMs": []}

if subject == "keepalived":
    live = shutil.copy(path, tempfile.mkdtemp() + "/keepalived.conf")
    begun = time.monotonic()
    process = subjects.start_keepalived(live)
    found["startMs"] = (seen(count) - begun) * 1000
    found["rules"] = subjects.rules()
    pids = subjects.lasting(process.pid)
    for changed, after in changes:
        shutil.copy(changed, live)
        begun = time.monotonic()
        process.send_signal(signal.SIGHUP)
        found["changesMs"].append((seen(after) - begun) * 1000)
        pids = subjects.lasting(process.pid)  # lets the reload's work end, to its own advantage
    found.update(rssMb=subjects.memory_mb(pids), peakMb=subjects.memory_mb(pids, "VmHWM"))
    subjects.end(process)
elif subject == "agent":
    agent = subjects.Agent(program)
    pids = [agent.process.pid]
    found["startMs"] = agent.hand_over(path, lambda: seen(count)) * 1000
    found["rules"] = subjects.rules()
    for change, after in changes:
        found["changesMs"].append(agent.hand_over(change, lambda: seen(after)) * 1000)

    def bound():
        return json.loads(agent.ask("sweep")[2])["sweepBoundMs"] / 1000

    # The bound follows what a sweep is found to cost: first one whole sweep, by which it is known.
    time.sleep(bound() + 3)
    stated = bound()
    before, begun = subjects.cpu_seconds(pids), time.monotonic()
    time.sleep(100)
    used = subjects.cpu_seconds(pids) - before
    found.update(sweepBoundMs=stated * 1000, sweepCpuPercent=100 * used / (time.monotonic() - begun))
    found.update(rssMb=subjects.memory_mb(pids), peakMb=subjects.memory_mb(pids, "VmHWM"))
    agent.kill()
else:
    sys.exit(__doc__)
print(json.dumps(found))
