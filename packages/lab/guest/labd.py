#!/usr/bin/python3 -IS
"""labd: builds a topology inside one kernel and runs commands in its hosts.

In the `uml` engine labd is the guest kernel's init; in the `native` engine it runs in fresh net, mount and pid
namespaces of the machine. Either way every lab host gets its own net, mount, uts, ipc and pid namespaces on an overlay
of the machine's file system, and a PID 1 that serves exec requests (see ExecServer).

Python and not Node, because in the UML guest a Node start costs 260 ms per host and Python forks for nearly nothing: all
hosts share this process's memory. For the same reason almost nothing is executed here: one modprobe, one `ip -batch` for
the wires and one for each host (a fork+exec costs 20 to 100 ms in the guest).

Reads a JSON file (LABCFG=... in the environment, or on the kernel's command line), written by src/lab.ts.
"""
import ctypes
import errno
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
import uuid

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
LINUX_REBOOT_CMD_POWER_OFF = 0x4321FEDC
F_SETPIPE_SZ = 1031
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOTED = time.monotonic()

# What systemd's 50-default.conf gives every interface, and what udev applies again to each new one (through `default`).
DISTRIBUTION_SYSCTLS = {"rp_filter": 2, "accept_source_route": 0, "promote_secondaries": 1}
# A new namespace copies these from the machine's own; a lab host starts from the kernel's defaults instead.
KERNEL_DEFAULTS = {"arp_ignore": 0, "arp_announce": 0, "arp_filter": 0, "arp_notify": 0, "accept_local": 0, "send_redirects": 1, "proxy_arp": 0}

# How long a host waits for its services.
SERVICE_SECONDS = 60

# A fresh host has none of the machine's own services enabled.
ENABLED_UNITS = "/etc/systemd/system/multi-user.target.wants"

libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (what, os.strerror(code)))


def mount(source, target, fstype=None, flags=0, data=None):
    encode = lambda text: None if text is None else text.encode()
    check(libc.mount(encode(source), encode(target), encode(fstype), flags, encode(data)), "mount %s on %s" % (fstype or source, target))


def unmount(target):
    check(libc.umount2(target.encode(), MNT_DETACH), "umount %s" % target)


def unshare(flags):
    check(libc.unshare(flags), "unshare")


def pivot_root(new, old):
    check(libc.syscall(PIVOT_ROOT[os.uname().machine], new.encode(), old.encode()), "pivot_root")


def say(*words):
    """One line on the console; the launcher waits for the one that says READY."""
    print("labd %.2fs" % (time.monotonic() - BOOTED), *words, flush=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def replace(path, text):
    """Writes a file that may be a symlink or a bind mount on the machine below."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    write(path, text)


def ip_batch(lines):
    done = subprocess.run(["ip", "-force", "-batch", "-"], input="\n".join(lines) + "\n", text=True, capture_output=True)
    if done.returncode:
        say("ip -batch failed:", done.stderr.strip())


def modprobe(modules, base):
    command = ["modprobe"] + (["-d", base] if base else []) + ["-a"] + modules
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            say("modprobe:", done.stderr.strip())
    except FileNotFoundError:
        say("modprobe is not installed")


def listen(address, port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(128)
    return sock


# ---------------------------------------------------------------------------------------------------- exec server


class Session:
    """One connection: one command, one file read or one file write."""

    __slots__ = ("sock", "received", "pid", "outputs", "stdin", "stdin_queue", "stdin_ended", "exit", "file")

    def __init__(self, sock):
        self.sock = sock
        self.received = b""
        self.pid = 0
        self.outputs = {}  # file descriptor -> frame type
        self.stdin = -1
        self.stdin_queue = bytearray()
        self.stdin_ended = False
        self.exit = None
        self.file = None  # (open file, path to rename to)


class ExecServer:
    """Serves requests as PID 1 of a lab host (or of the guest), in one epoll loop.

    A frame is: type (1 byte), length (4 bytes, big endian), payload.
    Client to server: R request (JSON), I stdin bytes, E end of stdin, S signal number.
    Server to client: P pid (decimal), O stdout bytes, E stderr bytes, X result (JSON, the last frame).
    Requests: {cmd, cwd?, env?, stdin?, detach?, log?} | {read: path} | {write: path, mode?} | {control: {...}}.
    A client that closes its connection kills its command's process group.
    """

    def __init__(self, listener, env, control=None):
        self.listener, self.env, self.control = listener, env, control
        self.epoll = select.epoll()
        self.by_fd, self.by_pid = {}, {}
        self.wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        listener.setblocking(False)
        self.epoll.register(listener.fileno(), select.EPOLLIN)
        self.epoll.register(self.wake_read, select.EPOLLIN)

    def run(self):
        while True:
            for fd, event in self.epoll.poll():
                if fd == self.listener.fileno():
                    self.accept()
                elif fd == self.wake_read:
                    self.reap()
                else:
                    session = self.by_fd.get(fd)
                    if session is None:
                        continue
                    if fd in session.outputs:
                        self.pump(session, fd, once=True)
                    elif fd == session.stdin:
                        self.feed(session)
                    else:
                        self.receive(session)

    def accept(self):
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.by_fd[sock.fileno()] = Session(sock)
        self.epoll.register(sock.fileno(), select.EPOLLIN)

    def reap(self):
        try:
            os.read(self.wake_read, 4096)
        except OSError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            session = self.by_pid.pop(pid, None)
            if session is None:
                continue
            if os.WIFSIGNALED(status):
                session.exit = {"code": 128 + os.WTERMSIG(status), "signal": os.WTERMSIG(status)}
            else:
                session.exit = {"code": os.waitstatus_to_exitcode(status)}
            self.finish(session)

    def receive(self, session):
        try:
            data = session.sock.recv(262144)
        except OSError:
            data = b""
        if not data:
            self.abandon(session)
            return
        session.received += data
        while len(session.received) >= 5 and session.sock.fileno() >= 0:
            length = struct.unpack(">I", session.received[1:5])[0]
            if len(session.received) < 5 + length:
                return
            kind, payload = session.received[:1], session.received[5 : 5 + length]
            session.received = session.received[5 + length :]
            self.frame(session, kind, payload)

    def frame(self, session, kind, payload):
        if kind == b"R":
            self.request(session, json.loads(payload))
        elif kind == b"I":
            if session.file:
                session.file[0].write(payload)
            elif session.stdin >= 0:
                session.stdin_queue += payload
                self.feed(session)
        elif kind == b"E":
            if session.file:
                self.close_file(session)
            session.stdin_ended = True
            self.feed(session)
        elif kind == b"S" and session.pid:
            try:
                os.killpg(session.pid, int(payload))
            except OSError:
                pass

    def request(self, session, request):
        try:
            if "cmd" in request:
                self.start(session, request)
            elif "read" in request:
                with open(request["read"], "rb") as file:
                    while chunk := file.read(262144):
                        self.send(session, b"O", chunk)
                self.answer(session, {"code": 0})
            elif "write" in request:
                path = request["write"]
                os.makedirs(os.path.dirname(path), exist_ok=True)
                part = "%s.%d.part" % (path, session.sock.fileno())
                fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.fchmod(fd, request.get("mode", 0o644))
                session.file = (os.fdopen(fd, "wb"), part, path)
            elif "control" in request and self.control:
                self.answer(session, {"code": 0, "result": self.control(request["control"])})
            else:
                self.answer(session, {"code": 125, "error": "unknown request"})
        except (OSError, ValueError) as problem:
            code = 127 if getattr(problem, "errno", 0) == errno.ENOENT else 126
            self.send(session, b"E", ("lab: %s\n" % problem).encode())
            self.answer(session, {"code": code, "error": str(problem)})

    def start(self, session, request):
        detach, stdin = bool(request.get("detach")), bool(request.get("stdin"))
        output = open(request.get("log") or "/dev/null", "ab") if detach else subprocess.PIPE
        process = subprocess.Popen(
            request["cmd"],
            stdin=subprocess.PIPE if stdin and not detach else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if detach else subprocess.PIPE,
            env={**self.env, **(request.get("env") or {})},
            cwd=request.get("cwd") or self.env["HOME"],
            start_new_session=True,
            bufsize=0,
        )
        process.returncode = 0  # this loop reaps, not subprocess
        if detach:
            output.close()
            self.answer(session, {"code": 0, "pid": process.pid})
            return
        session.pid = process.pid
        self.by_pid[process.pid] = session
        self.send(session, b"P", b"%d" % process.pid)
        for stream, kind in ((process.stdout, b"O"), (process.stderr, b"E")):
            fd = os.dup(stream.fileno())
            stream.close()
            os.set_blocking(fd, False)
            try:
                fcntl.fcntl(fd, F_SETPIPE_SZ, 262144)
            except OSError:
                pass
            session.outputs[fd] = kind
            self.by_fd[fd] = session
            self.epoll.register(fd, select.EPOLLIN)
        if process.stdin:
            session.stdin = os.dup(process.stdin.fileno())
            process.stdin.close()
            os.set_blocking(session.stdin, False)
            self.by_fd[session.stdin] = session
            self.epoll.register(session.stdin, 0)

    def feed(self, session):
        """Writes queued stdin without ever blocking the loop."""
        if session.stdin < 0:
            return
        try:
            while session.stdin_queue:
                del session.stdin_queue[: os.write(session.stdin, bytes(session.stdin_queue[:65536]))]
        except BlockingIOError:
            self.epoll.modify(session.stdin, select.EPOLLOUT)
            return
        except OSError:
            session.stdin_queue.clear()
            session.stdin_ended = True
        if session.stdin_ended:
            self.close_stdin(session)
        else:
            self.epoll.modify(session.stdin, 0)

    def close_stdin(self, session):
        if session.stdin >= 0:
            self.forget(session.stdin)
            os.close(session.stdin)
            session.stdin = -1

    def close_file(self, session):
        file, part, path = session.file
        session.file = None
        file.close()
        os.replace(part, path)
        self.answer(session, {"code": 0})

    def pump(self, session, fd, once=False):
        while True:
            try:
                data = os.read(fd, 262144)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.forget(fd)
                del session.outputs[fd]
                os.close(fd)
                return
            self.send(session, session.outputs[fd], data)
            if once:
                return

    def send(self, session, kind, payload):
        try:
            session.sock.sendall(kind + struct.pack(">I", len(payload)) + payload)
        except OSError:
            pass

    def answer(self, session, result):
        session.exit = result
        self.finish(session)

    def finish(self, session):
        for fd in list(session.outputs):
            self.pump(session, fd)
        for fd in list(session.outputs):  # still open: a grandchild keeps it
            self.forget(fd)
            os.close(fd)
        session.outputs.clear()
        self.close_stdin(session)
        if session.sock.fileno() >= 0:
            self.send(session, b"X", json.dumps(session.exit).encode())
            self.forget(session.sock.fileno())
            session.sock.close()

    def abandon(self, session):
        self.forget(session.sock.fileno())
        session.sock.close()
        if session.file:
            file, part, _ = session.file
            file.close()
            os.unlink(part)
        if session.pid and session.exit is None:
            try:
                os.killpg(session.pid, signal.SIGKILL)
            except OSError:
                pass

    def forget(self, fd):
        try:
            self.epoll.unregister(fd)
        except (OSError, ValueError):
            pass
        self.by_fd.pop(fd, None)


# ---------------------------------------------------------------------------------------------------- one lab host


def close_all_but(*kept):
    """A host built again is forked from the serving process and must not hold that one's sockets."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        if fd > 2 and fd not in kept:
            try:
                os.close(fd)
            except OSError:
                pass  # the folder's own descriptor, gone already


def set_conf(values):
    """Writes these to every interface, `all` and `default`."""
    folder = "/proc/sys/net/ipv4/conf"
    for name in os.listdir(folder):
        for key, value in values.items():
            write("%s/%s/%s" % (folder, name, key), str(value))


def make_dev(root):
    mount("tmpfs", root + "/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m")
    umask = os.umask(0)
    for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)):
        os.mknod("%s/dev/%s" % (root, name), 0o20666, os.makedev(major, minor))
    os.umask(umask)
    for name in ("pts", "shm", "net"):
        os.mkdir("%s/dev/%s" % (root, name))
    mount("devpts", root + "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", root + "/dev/ptmx")
    mount("tmpfs", root + "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, "%s/dev/%s" % (root, name))


# Install scripts ask in a loop whether a unit is active: that starts no interpreter.
SYSTEMCTL = """#!/bin/sh
if [ "$#" -eq 2 ] && [ "$1" = is-active ] && [ -r "/run/units/$2.supervisor" ]; then
  read -r pid <"/run/units/$2.supervisor" || :
  read -r state <"/run/units/$2.state" || :
  [ "$state" != active ] || ! kill -0 "$pid" 2>/dev/null || { echo active; exit 0; }
fi
exec /usr/local/lib/systemctl.py "$@"
"""


class Host:
    """One lab host as the parent sees it: its namespaces can be destroyed and built again; its disk stays."""

    def __init__(self, config, index, spec):
        self.config, self.index, self.spec = config, index, spec
        self.name = spec["name"]
        self.netns = "/run/netns/" + self.name
        self.disk = "/run/lab/" + self.name

    def start(self):
        """Forks the host; it makes its network namespace and then waits for its wires."""
        config = self.config
        # In the parent's network: a lab host's own network may be wrecked, and exec still works.
        listener = listen(config["guest"], config["execPort"] + 1 + self.index)
        ready_read, ready_write = os.pipe()
        go_read, go_write = os.pipe()
        self.outer = os.fork()
        if not self.outer:
            try:
                signal.set_wakeup_fd(-1)  # of the serving process, if a host is built again
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                close_all_but(listener.fileno(), ready_write, go_read)
                self.run(listener, ready_write, go_read)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            os._exit(1)
        listener.close()
        os.close(ready_write)
        os.close(go_read)
        self.ready, self.go = ready_read, go_write

    def wait_namespace(self):
        if os.read(self.ready, 1) != b"n":
            raise OSError(errno.EIO, "lab host %s made no network namespace" % self.name)

    def wires(self):
        lines = []
        for number, link in enumerate(self.spec["links"]):
            outside = "v%d.%d" % (self.index, number)
            lines.append("link add %s type veth peer name %s address %s netns %s" % (outside, link["ifname"], link["mac"], self.name))
            if link.get("mtu"):
                lines.append("link set %s mtu %d" % (outside, link["mtu"]))
            lines.append("link set %s master %s" % (outside, "br-" + link["segment"]))
            lines.append("link set %s up" % outside)
        return lines

    def release(self):
        os.write(self.go, b"g")
        os.close(self.go)

    def wait_ready(self):
        """Reads `<pid of the host's init>r`."""
        said = b""
        while not said.endswith(b"r"):
            chunk = os.read(self.ready, 64)
            if not chunk:
                raise OSError(errno.EIO, "lab host %s failed to start" % self.name)
            said += chunk
        self.inner = int(said[:-1])
        os.close(self.ready)

    def destroy(self):
        """A power cut: every process dies at once and the namespaces go; the disk stays."""
        os.kill(self.inner, signal.SIGKILL)
        os.waitpid(self.outer, 0)
        # The namespace itself is torn down later by a kernel thread; the wires must be gone now, for they come back.
        ip_batch(["link del v%d.%d" % (self.index, number) for number in range(len(self.spec["links"]))])
        unmount(self.netns)

    def run(self, listener, ready, go):
        """Child: enters the namespaces and becomes the host's init."""
        unshare(CLONE_NEWNET)
        if self.config["engine"] == "native":
            write("/proc/sys/net/ipv4/ip_forward", "0")
            set_conf(KERNEL_DEFAULTS)
        set_conf(DISTRIBUTION_SYSCTLS)
        open(self.netns, "w").close()
        mount("/proc/self/ns/net", self.netns, None, MS_BIND)
        os.write(ready, b"n")
        os.read(go, 1)
        unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID)
        inner = os.fork()
        if inner:
            listener.close()
            os.close(ready)
            os.waitpid(inner, 0)
            os._exit(0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        pid = int(os.readlink("/proc/self"))  # as the lab's root sees it: this /proc is still the old one
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        self.configure_network()
        first_boot = self.make_root()
        self.identify(first_boot)
        env = {"PATH": PATH, "HOME": "/root", "USER": "root", "LANG": "C.UTF-8", "TERM": "dumb", "LAB_HOST": self.name}
        server = ExecServer(listener, env)
        self.boot(env)
        self.wait_services()
        os.write(ready, b"%dr" % pid)
        os.close(ready)
        server.run()

    def configure_network(self):
        lines = ["link set lo up"]
        for link in self.spec["links"]:
            if link.get("mtu"):
                lines.append("link set %s mtu %d" % (link["ifname"], link["mtu"]))
            for address in link["addresses"]:
                lines.append("addr add %s dev %s%s" % (address, link["ifname"], " nodad" if ":" in address else ""))
            lines.append("link set %s up" % link["ifname"])
        lines += [("-6 " if ":" in route else "") + "route add " + route for route in self.spec["routes"]]
        ip_batch(lines)
        for key, value in self.spec["sysctls"].items():
            write("/proc/sys/" + key.replace(".", "/"), str(value))

    def make_root(self):
        """An overlay of the machine's root becomes /; answers whether the disk is new."""
        first_boot = not os.path.isdir(self.disk)
        root = self.disk + "/mount"
        for name in ("upper", "work", "home", "mount"):
            os.makedirs("%s/%s" % (self.disk, name), exist_ok=True)
        mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir=%s/upper,workdir=%s/work" % (self.disk, self.disk))
        mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        # Mounted from inside the network namespace: /sys/class/net shows this host's interfaces.
        mount("sysfs", root + "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        make_dev(root)
        mount("tmpfs", root + "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        mount("tmpfs", root + "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
        # The machine's home folder is no business of a lab host, and unreadable where the lab runs without root.
        mount(self.disk + "/home", root + "/root", None, MS_BIND)
        for number, path in enumerate(self.config["binds"]):
            layer = "%s/layer%d" % (self.disk, number)
            for folder in (root + path, layer + "/upper", layer + "/work"):
                os.makedirs(folder, exist_ok=True)
            mount("overlay", root + path, "overlay", 0, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (path, layer, layer))
        base = self.config.get("moduleBase")
        if base:
            release = "/lib/modules/" + os.uname().release
            target = root + "/usr" + release
            os.makedirs(target, exist_ok=True)
            if not os.path.lexists(root + "/lib/modules"):
                os.symlink("../usr/lib/modules", root + "/lib/modules")
            mount(base + release, target, None, MS_BIND)
            mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
        if first_boot:
            for path in [ENABLED_UNITS, *self.config["mask"], *self.spec["mask"]]:
                if os.path.isdir(root + path) and not os.path.islink(root + path):
                    shutil.rmtree(root + path)
                elif os.path.lexists(root + path):
                    os.unlink(root + path)
        os.mkdir(root + "/.old")
        pivot_root(root, root + "/.old")
        os.chdir("/")
        unmount("/.old")
        os.rmdir("/.old")
        os.umask(0o022)
        for path in ("/run/netns", "/run/lock", "/run/systemd/system"):  # install scripts test for the last one
            os.makedirs(path, exist_ok=True)
        return first_boot

    def identify(self, first_boot):
        name = self.name.encode()
        check(libc.sethostname(name, len(name)), "sethostname")
        replace("/run/boot-id", str(uuid.uuid4()) + "\n")
        mount("/run/boot-id", "/proc/sys/kernel/random/boot_id", None, MS_BIND)
        if not first_boot:
            return
        known = "".join("%s\t%s\n" % (host["management"], host["name"]) for host in self.config["hosts"])
        replace("/etc/hostname", self.name + "\n")
        replace("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n%s\tcontroller\n%s" % (self.config["gateway"], known))
        replace("/etc/resolv.conf", "")
        replace("/etc/machine-id", uuid.uuid4().hex + "\n")
        replace("/usr/local/lib/systemctl.py", self.config["systemctl"])
        replace("/usr/local/sbin/systemctl", SYSTEMCTL)
        replace("/usr/local/sbin/systemd-run", self.config["systemdRun"])
        for path in ("/usr/local/lib/systemctl.py", "/usr/local/sbin/systemctl", "/usr/local/sbin/systemd-run"):
            os.chmod(path, 0o755)

    def boot(self, env):
        """Starts the topology's services, then what `systemctl enable` left on the disk."""
        commands = [(service["name"], service["command"]) for service in self.spec["services"]]
        if os.path.isdir(ENABLED_UNITS):
            commands.append(("systemctl-boot", ["/usr/local/sbin/systemctl", "lab-boot"]))
        for name, command in commands:
            with open("/run/%s.log" % name, "ab") as log:
                started = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd="/", start_new_session=True
                )
                started.returncode = 0

    def wait_services(self):
        """Until each service that says when it is ready has said so."""
        deadline = time.monotonic() + SERVICE_SECONDS
        for service in self.spec["services"]:
            said = service.get("says")
            while said and said not in open("/run/%s.log" % service["name"], errors="replace").read():
                if time.monotonic() > deadline:
                    raise OSError(errno.ETIMEDOUT, "service %s of lab host %s does not come up" % (service["name"], self.name))
                time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------- the whole lab


class Lab:
    def __init__(self, config):
        self.config = config
        self.hosts = [Host(config, index, spec) for index, spec in enumerate(config["hosts"])]

    def build(self):
        config = self.config
        say("kernel", os.uname().release)
        modprobe(config["modules"], config.get("moduleBase"))
        say("modules loaded")
        segments = sorted({link["segment"] for host in config["hosts"] for link in host["links"]})
        # `lo` first: without any address the kernel refuses every IPVS destination with EINVAL.
        lines = ["link set lo up"]
        for segment in segments:
            lines += ["link add br-%s type bridge" % segment, "link set br-%s up" % segment]
        if config.get("nic"):
            lines += ["link set %s up" % config["nic"], "link set %s master br-mgmt" % config["nic"]]
        else:
            lines.append("addr add %s/%d dev br-mgmt" % (config["gateway"], config["prefix"]))
        lines.append("addr add %s/%d dev br-mgmt" % (config["guest"], config["prefix"]))
        ip_batch(lines)
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.wait_namespace()
        say("namespaces made")
        ip_batch([line for host in self.hosts for line in host.wires()])
        say("wires laid")
        for host in self.hosts:
            host.release()
        for host in self.hosts:
            host.wait_ready()

    def control(self, request):
        if request.get("rebuild"):
            host = next(host for host in self.hosts if host.name == request["rebuild"])
            host.destroy()
            if request.get("wipe"):
                shutil.rmtree(host.disk)
            host.start()
            host.wait_namespace()
            ip_batch(host.wires())
            host.release()
            host.wait_ready()
            return {"rebuilt": host.name}
        raise ValueError("unknown control request")


def configuration_path():
    if "LABCFG" in os.environ:
        return os.environ["LABCFG"]
    return next(word.split("=", 1)[1] for word in open("/proc/cmdline").read().split() if word.startswith("LABCFG="))


def main():
    if not os.path.ismount("/proc"):
        mount("proc", "/proc", "proc")
    with open(configuration_path()) as file:
        config = json.load(file)
    os.environ.update(PATH=PATH, HOME="/root")
    if config["engine"] == "native":
        unshare(CLONE_NEWNS)
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount("sysfs", "/sys", "sysfs")  # again: the machine's own shows the machine's interfaces
    else:
        if not os.path.ismount("/sys"):
            mount("sysfs", "/sys", "sysfs")
        # Its modules are loaded by name, none lies where the kernel would look. It asks for bpfilter at each read of iptables' tables: 40 ms of a program.
        write("/proc/sys/kernel/modprobe", "\n")
    mount("tmpfs", "/run", "tmpfs", 0, "size=75%")
    os.makedirs("/run/netns")
    os.makedirs("/run/lab")
    lab = Lab(config)
    lab.build()
    server = ExecServer(listen(config["guest"], config["execPort"]), {**os.environ, "LAB_HOST": "@guest"}, lab.control)
    say("READY")
    server.run()


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        say("FAILED")
        if os.getpid() == 1:
            os.sync()
            libc.reboot(LINUX_REBOOT_CMD_POWER_OFF)
        sys.exit(1)
