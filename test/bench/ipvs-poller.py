#!/usr/bin/python3 -IS
"""An observer of the kernel's IPVS table that shares no code with Trigon: asks for one service's destinations by generic netlink, again and
again, and says on CLOCK_MONOTONIC when a condition first held.

As a module: wait(poller, vip, port, condition) -> seconds. Run alone, `ipvs-poller.py VIP PORT` follows one service until its standard
output closes and prints {"monotonic": …, "destinations": {"RIP:PORT": weight}} whenever the destinations differ from the last look.
Numbers are from <linux/netlink.h>, <linux/genetlink.h> and <linux/ip_vs.h>."""
import json, os, socket, struct, sys, time

NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2
IPVS_CMD_GET_DEST, IPVS_CMD_ATTR_SERVICE, IPVS_CMD_ATTR_DEST = 8, 1, 2
NLMSG_ERROR, NLMSG_DONE = 2, 3


def attr(kind, payload):
    size = 4 + len(payload)
    return struct.pack("=HH", size, kind) + payload + b"\0" * (-size % 4)


def attrs(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


class Poller:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.bind((0, 0))
        self.socket.settimeout(5)
        self.sequence = 0
        reply = self.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, attr(CTRL_ATTR_FAMILY_NAME, b"IPVS\0"), NLM_F_REQUEST)
        self.family = struct.unpack("=H", attrs(reply[0])[CTRL_ATTR_FAMILY_ID])[0]

    def ask(self, family, command, payload, flags):
        self.sequence += 1
        body = struct.pack("=BBH", command, 1, 0) + payload
        self.socket.send(struct.pack("=IHHII", 16 + len(body), family, flags, self.sequence, 0) + body)
        messages = []
        while True:
            data, at = self.socket.recv(1 << 18), 0
            while at < len(data):
                size, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
                if sequence == self.sequence:
                    if kind == NLMSG_DONE:
                        return messages
                    if kind == NLMSG_ERROR:
                        code = -struct.unpack_from("=i", data, at + 16)[0]
                        if code:
                            raise OSError(code, os.strerror(code))
                        return messages
                    messages.append(data[at + 20 : at + size])
                    if not flags & NLM_F_DUMP:
                        return messages
                at += (size + 3) & ~3

    def destinations(self, vip, port):
        """{(rip, port): weight} of one TCP service; empty when the service is not there."""
        service = attr(1, struct.pack("=H", 2)) + attr(2, struct.pack("=H", 6)) + attr(3, socket.inet_aton(vip)) + attr(4, struct.pack(">H", port))
        found = {}
        for message in self.ask(self.family, IPVS_CMD_GET_DEST, attr(IPVS_CMD_ATTR_SERVICE, service), NLM_F_REQUEST | NLM_F_DUMP):
            one = attrs(attrs(message)[IPVS_CMD_ATTR_DEST])
            found[(socket.inet_ntoa(one[1][:4]), struct.unpack(">H", one[2])[0])] = struct.unpack("=I", one[4])[0]
        return found


def wait(poller, vip, port, holds, deadline=120.0, pause=0.002):
    """CLOCK_MONOTONIC seconds at which `holds(destinations)` was first seen."""
    end = time.monotonic() + deadline
    while True:
        found = poller.destinations(vip, port)
        now = time.monotonic()
        if holds(found):
            return now
        if now > end:
            raise TimeoutError("%s:%d still has %r" % (vip, port, found))
        time.sleep(pause)


if __name__ == "__main__":
    vip, port = sys.argv[1], int(sys.argv[2])
    poller, last = Poller(), None
    while True:
        found = poller.destinations(vip, port)
        if found != last:
            last = found
            named = {"%s:%d" % key: weight for key, weight in sorted(found.items())}
            print(json.dumps({"monotonic": time.monotonic(), "destinations": named}), flush=True)
        time.sleep(0.001)
