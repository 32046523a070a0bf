#!/usr/bin/python3 -IS
"""A small systemctl for lab hosts, installed there as /usr/local/sbin/systemctl.

Verbs: daemon-reload, enable, disable (with --now), start, stop, restart, try-restart, reload-or-restart, reload, kill,
status, is-active, is-enabled, is-failed, show (MainPID and ActiveState), cat, list-units, and lab-boot (start all enabled units).
Honoured in a unit: Type= (simple, exec, notify as simple; oneshot waits), ExecStartPre=, ExecStart=, ExecStopPost=, Environment=,
EnvironmentFile=, WorkingDirectory=, Restart=, RestartSec=, KillMode= (process or the whole group), TimeoutStopSec=,
RuntimeDirectory=, StateDirectory=. One detached supervisor process per running unit keeps its state in /run/units.
"""
import os
import signal
import sys
import time

FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
WANTS = "/etc/systemd/system/multi-user.target.wants"
STATE = "/run/units"
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root", "LANG": "C.UTF-8"}


def unit_path(unit):
    return next((folder + "/" + unit for folder in FOLDERS if os.path.exists(folder + "/" + unit)), None)


def parse(unit):
    """Directive name to list of values; an empty assignment clears the list, as systemd does."""
    path = unit_path(unit)
    if not path:
        sys.stderr.write("Unit %s could not be found.\n" % unit)
        sys.exit(4)
    found = {}
    for line in open(path).read().replace("\\\n", " ").splitlines():
        line = line.strip()
        if line and line[0] not in "#;[" and "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            if value:
                found.setdefault(key, []).append(value)
            else:
                found[key] = []
    return found


def one(config, key, default):
    return (config.get(key) or [default])[-1]


def seconds(text):
    for suffix, scale in (("ms", 0.001), ("min", 60), ("s", 1)):
        if text.endswith(suffix):
            return float(text[: -len(suffix)]) * scale
    return float(text)


def read(unit, kind):
    try:
        return open("%s/%s.%s" % (STATE, unit, kind)).read().strip()
    except OSError:
        return ""


def record(unit, kind, text):
    path = "%s/%s.%s" % (STATE, unit, kind)
    open(path + ".part", "w").write(text)
    os.rename(path + ".part", path)


def alive(pid):
    try:
        os.kill(int(pid), 0)
        return True
    except (OSError, ValueError):
        return False


def supervisor(unit):
    pid = read(unit, "supervisor")
    return int(pid) if alive(pid) else 0


def state(unit):
    if supervisor(unit):
        return read(unit, "state") or "activating"
    return "failed" if read(unit, "state") == "failed" else "inactive"


def split(text):
    """Words as systemd takes them."""
    if not any(mark in text for mark in "'\"\\#"):
        return text.split()
    import shlex  # dear to load

    return shlex.split(text)


def environment(config):
    env = dict(ENV)
    for entry in config.get("Environment", []):
        env.update(pair.split("=", 1) for pair in split(entry))
    for name in config.get("EnvironmentFile", []):
        path = name.lstrip("-")
        if os.path.exists(path):
            for line in open(path):
                if "=" in line and line[0] not in "#;":
                    key, value = line.strip().split("=", 1)
                    env[key] = value.strip("\"'")
    return env


def command(line):
    return split(line.lstrip("-@+!:"))


def run_all(config, key, env, cwd):
    import subprocess

    for line in config.get(key, []):
        code = subprocess.call(command(line), env=env, cwd=cwd)
        if code and not line.startswith("-"):
            return code
    return 0


def supervise(unit):
    """Runs in a session of its own until the unit is stopped or ends for good."""
    import subprocess

    child, stopping, patience = None, False, 10

    def stop(*_):
        nonlocal stopping
        stopping = True
        if child:
            child.terminate()
            signal.setitimer(signal.ITIMER_REAL, max(patience, 0.001))

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, lambda *_: child and child.kill())
    record(unit, "supervisor", str(os.getpid()))
    record(unit, "state", "activating")
    result = "inactive"
    while not stopping:
        config = parse(unit)
        env, cwd = environment(config), one(config, "WorkingDirectory", "/")
        patience = seconds(one(config, "TimeoutStopSec", "10"))
        for key, base in (("RuntimeDirectory", "/run/"), ("StateDirectory", "/var/lib/")):
            for name in " ".join(config.get(key, [])).split():
                os.makedirs(base + name, exist_ok=True)
        oneshot = one(config, "Type", "simple") == "oneshot"
        code = run_all(config, "ExecStartPre", env, cwd)
        if not code and oneshot:
            code = run_all(config, "ExecStart", env, cwd)
            result = "failed" if code else "inactive"
            if not code and one(config, "RemainAfterExit", "no") in ("yes", "true", "1"):
                record(unit, "state", "active")
                while not stopping:
                    signal.pause()
            break
        if not code:
            try:
                child = subprocess.Popen(command(one(config, "ExecStart", "")), env=env, cwd=cwd, start_new_session=True)
                record(unit, "pid", str(child.pid))
                record(unit, "state", "active")
                if stopping:
                    stop()
                code = wait(child, config)
                print("%s: main process exited, code %s" % (unit, code), flush=True)
            except OSError as problem:
                print("%s: %s" % (unit, problem), flush=True)
                code = 203
        child = None
        run_all(config, "ExecStopPost", env, cwd)
        restart = one(config, "Restart", "no")
        result = "failed" if code and not stopping else "inactive"
        if stopping or restart == "no" or (code == 0 and restart != "always") or (code and restart == "on-success"):
            break
        record(unit, "state", "activating")
        due = time.monotonic() + seconds(one(config, "RestartSec", "100ms"))
        while not stopping and time.monotonic() < due:
            time.sleep(0.02)
    record(unit, "state", result)
    for kind in ("pid", "supervisor"):
        try:
            os.unlink("%s/%s.%s" % (STATE, unit, kind))
        except OSError:
            pass


def wait(child, config):
    """The main process's code; the rest of its group is killed at its end."""
    code = child.wait()
    signal.setitimer(signal.ITIMER_REAL, 0)
    if one(config, "KillMode", "control-group") != "process":
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except OSError:
            pass
    return code


def start(unit):
    if supervisor(unit):
        return 0
    config = parse(unit)
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        log = os.open("%s/%s.log" % (STATE, unit), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for fd, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(fd, target)
        os.close(reader)
        os.dup2(writer, 3)
        os.closerange(4, 256)
        os.set_inheritable(3, False)
        supervise(unit)
        os._exit(0)
    os.close(writer)
    if one(config, "Type", "simple") == "oneshot":
        os.read(reader, 1)  # end of file: the supervisor is done
        return 1 if state(unit) == "failed" else 0
    deadline = time.monotonic() + 10
    while state(unit) not in ("active", "failed") and time.monotonic() < deadline:
        time.sleep(0.02)
    return 0 if state(unit) == "active" else 1


def stop(unit):
    pid = supervisor(unit)
    if pid:
        os.kill(pid, signal.SIGTERM)
        while supervisor(unit):
            time.sleep(0.02)
    elif read(unit, "state"):
        record(unit, "state", "inactive")
    return 0


def kill(unit, flags):
    number = next((flag.split("=")[-1] for flag in flags if flag.startswith(("--signal=", "-s="))), "TERM")
    pid = read(unit, "pid")
    if alive(pid):
        os.kill(int(pid), int(number) if number.isdigit() else getattr(signal, "SIG" + number.replace("SIG", "", 1)))
    return 0


def enable(unit, now):
    parse(unit)
    os.makedirs(WANTS, exist_ok=True)
    if not os.path.lexists(WANTS + "/" + unit):
        os.symlink(unit_path(unit), WANTS + "/" + unit)
    return start(unit) if now else 0


def disable(unit, now):
    if os.path.lexists(WANTS + "/" + unit):
        os.unlink(WANTS + "/" + unit)
    return stop(unit) if now else 0


def show(unit, flags):
    values = {"Id": unit, "MainPID": read(unit, "pid") or "0", "ActiveState": state(unit), "UnitFileState": enabled(unit), "LoadState": "loaded" if unit_path(unit) else "not-found"}
    wanted = [name for i, flag in enumerate(flags) if flag.startswith(("-p", "--property=")) for name in flag.split("=")[-1].replace("-p", "", 1).split(",")]
    for key, value in values.items():
        if not wanted or key in wanted:
            print(value if "--value" in flags else "%s=%s" % (key, value))
    return 0


def enabled(unit):
    return "enabled" if os.path.lexists(WANTS + "/" + unit) else "disabled"


def report(unit, quiet):
    if not unit_path(unit):
        if not quiet:
            print("inactive")
        return 4
    now = state(unit)
    if not quiet:
        print(now)
    return 0 if now == "active" else 3


def main():
    os.makedirs(STATE, exist_ok=True)
    arguments, flags, words = sys.argv[1:], [], []
    while arguments:
        word = arguments.pop(0)
        if word in ("-p", "-s", "--signal", "--property", "-t", "--type") and arguments:
            flags.append("%s=%s" % (word, arguments.pop(0)))
        elif word.startswith("-"):
            flags.append(word)
        else:
            words.append(word)
    verb = words.pop(0) if words else "list-units"
    units = [word if "." in word else word + ".service" for word in words]
    now, quiet = "--now" in flags, "-q" in flags or "--quiet" in flags
    if verb == "lab-boot":
        units = sorted(os.listdir(WANTS)) if os.path.isdir(WANTS) else []
        for unit in units:
            start(unit)
        return 0
    if verb in ("daemon-reload", "reset-failed"):
        return 0
    if verb in ("list-units", "list-unit-files"):
        for name in sorted(entry[: -len(".state")] for entry in os.listdir(STATE) if entry.endswith(".state")):
            print(name, "loaded", state(name))
        return 0
    actions = {
        "start": start,
        "stop": stop,
        "restart": lambda unit: stop(unit) or start(unit),
        "try-restart": lambda unit: (stop(unit) or start(unit)) if supervisor(unit) else 0,
        "reload-or-restart": lambda unit: stop(unit) or start(unit),
        "reload": lambda unit: kill(unit, ["--signal=HUP"]),
        "kill": lambda unit: kill(unit, flags),
        "enable": lambda unit: enable(unit, now),
        "disable": lambda unit: disable(unit, now),
        "status": lambda unit: report(unit, quiet),
        "is-active": lambda unit: report(unit, quiet),
        "is-failed": lambda unit: 0 if state(unit) == "failed" else 1,
        "is-enabled": lambda unit: (quiet or print(enabled(unit))) and 0 or int(enabled(unit) != "enabled"),
        "show": lambda unit: show(unit, flags),
        "cat": lambda unit: print(open(unit_path(unit) or sys.exit(1)).read(), end="") or 0,
    }
    if verb not in actions:
        sys.stderr.write("Unknown command verb %s.\n" % verb)
        return 1
    return max([actions[verb](unit) for unit in units], default=0)


sys.exit(main())
