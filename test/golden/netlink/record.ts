import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Lab, type LabHost } from "@trigon/lab";
import type { Recording } from "./recording.ts";

/** Generic netlink gives families their numbers at run time; GENL_ID_CTRL, which finds them, has this one. */
const CONTROLLER = 0x10;
/** Below are acknowledgements, errors and ends of dumps. */
const NLMSG_MIN_TYPE = 0x10;

const V4 = "10.9.0.1:80";
const V6 = "[2001:db8::1]:443";
const toV4 = `-t ${V4} -r`;

/** `before` and `after` are not recorded. A program may fail (a module is missing): what it sent is recorded all the same. */
const commands: { name: string; run: string; before?: string; after?: string }[] = [
  { name: "new-service-tcp", run: `ipvsadm -A -t ${V4} -s wrr` },
  { name: "new-service-udp-persistent", run: "ipvsadm -A -u 10.9.0.1:53 -s rr -p 300 -M 255.255.255.0" },
  { name: "new-service-sctp", run: "ipvsadm -A --sctp-service 10.9.0.1:9000 -s lc" },
  { name: "new-service-v6-persistent", run: `ipvsadm -A -t ${V6} -s wlc -p 60 -M 64` },
  { name: "new-service-fwmark", run: "ipvsadm -A -f 7 -s sed" },
  { name: "new-service-fwmark-v6", run: "ipvsadm -A -f 8 -6 -s rr" },
  { name: "new-service-mh-fallback-port", run: "ipvsadm -A -t 10.9.0.2:80 -s mh -b mh-fallback,mh-port" },
  { name: "new-service-one-packet", run: "ipvsadm -A -u 10.9.0.2:53 -s rr -o" },
  { name: "new-service-sip", run: "ipvsadm -A -u 10.9.0.3:5060 -s rr -p 60 --pe sip" },
  { name: "set-service", run: `ipvsadm -E -t ${V4} -s wlc` },
  { name: "new-destination-droute", run: `ipvsadm -a ${toV4} 10.9.1.1:80 -g -w 3` },
  { name: "new-destination-masq-thresholds", run: `ipvsadm -a ${toV4} 10.9.1.2:8080 -m -w 1 -x 100 -y 50` },
  { name: "new-destination-ipip", run: `ipvsadm -a ${toV4} 10.9.1.3:80 -i -w 1` },
  { name: "new-destination-gue", run: `ipvsadm -a ${toV4} 10.9.1.4:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum` },
  { name: "new-destination-gre", run: `ipvsadm -a ${toV4} 10.9.1.5:80 -i -w 0 --tun-type gre` },
  { name: "new-destination-v6", run: `ipvsadm -a -t ${V6} -r [2001:db8::2]:443 -m -w 5` },
  { name: "new-destination-v4-of-v6", run: `ipvsadm -a -t ${V6} -r 10.9.1.6:443 -i -w 5` },
  { name: "new-destination-of-fwmark", run: "ipvsadm -a -f 7 -r 10.9.1.1:0 -g -w 1" },
  { name: "set-destination", run: `ipvsadm -e ${toV4} 10.9.1.1:80 -g -w 9` },
  { name: "list", run: "ipvsadm -Ln", after: "ipvsadm -Sn" },
  { name: "zero-service", run: `ipvsadm -Z -t ${V4}` },
  { name: "zero-all", run: "ipvsadm -Z" },
  { name: "del-destination", run: `ipvsadm -d ${toV4} 10.9.1.1:80` },
  { name: "del-service", run: `ipvsadm -D -t ${V4}` },
  { name: "del-service-fwmark", run: "ipvsadm -D -f 7" },
  { name: "set-config", run: "ipvsadm --set 901 121 301" },
  { name: "get-config", run: "ipvsadm -L --timeout" },
  { name: "flush", run: "ipvsadm -C" },
  { name: "new-daemon-master", run: "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 5" },
  {
    name: "new-daemon-backup-group",
    run: "ipvsadm --start-daemon backup --mcast-interface eth0 --syncid 6 --sync-maxlen 1400 --mcast-group 239.0.0.5 --mcast-port 9000 --mcast-ttl 3",
  },
  { name: "list-daemons", run: "ipvsadm -L --daemon" },
  { name: "del-daemon-master", run: "ipvsadm --stop-daemon master" },
  {
    name: "new-daemon-group6",
    before: "ipvsadm --stop-daemon backup",
    run: "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7 --mcast-group ff02::81",
    after: "ipvsadm --stop-daemon master",
  },
  { name: "link-ipip", run: "ip link add trg-1 type ipip local 10.2.0.11 remote 10.2.0.12" },
  { name: "link-gre", run: "ip link add trg-2 type gre local 10.2.0.11 remote 10.2.0.13 ttl 64" },
  { name: "link-sit", run: "ip link add trg-3 type sit local 10.2.0.11 remote 10.2.0.14 nopmtudisc" },
  {
    name: "link-ipip-gue",
    run: "ip link add trg-4 type ipip local 10.2.0.11 remote 10.2.0.15 encap gue encap-sport auto encap-dport 6080 encap-csum",
  },
  { name: "link-dummy", run: "ip link add trg-5 type dummy" },
  { name: "address-v4", run: "ip addr add 192.0.2.10/32 dev lo label lo:vip" },
  { name: "address-v6-nodad", run: "ip addr add 2001:db8:9::10/128 dev lo nodad" },
  { name: "address-v4-delete", run: "ip addr del 192.0.2.10/32 dev lo" },
  { name: "route-table", run: "ip route add 10.88.0.0/16 via 10.2.0.1 table 1000 metric 7 advmss 1400" },
  { name: "route-replace-default", run: "ip route replace default via 10.2.0.1" },
  { name: "route-v6", run: "ip route add 2001:db8:77::/48 dev lo" },
  { name: "route-delete", run: "ip route del 10.88.0.0/16 table 1000" },
  { name: "rule", run: "ip rule add from 10.2.0.21 ipproto tcp sport 80 lookup 100 priority 500" },
  { name: "rule-delete", run: "ip rule del from 10.2.0.21 ipproto tcp sport 80 lookup 100 priority 500" },
  { name: "rule-v6-fwmark", run: "ip -6 rule add fwmark 7/0xff lookup 1000 priority 501" },
];

async function record(host: LabHost, run: string): Promise<Pick<Recording, "sent" | "received">> {
  const trace = "trace=sendmsg,sendto,recvmsg,recvfrom,socket";
  const { stderr } = await host.exec([
    "strace",
    "-f",
    "-e",
    trace,
    "-e",
    "write=all",
    "-e",
    "read=all",
    "-s",
    "0",
    ...words(run),
  ]);
  const sent: string[] = [];
  const received: string[] = [];
  let target: string[] | undefined;
  for (const line of stderr.split("\n")) {
    if (/^ \* |^ \| /.test(line)) {
      const dump = /^ \| [0-9a-f]{5,} {2}((?:[0-9a-f]{2} {1,2}){1,16})/.exec(line);
      if (dump && target) target[target.length - 1] += dump[1]!.replaceAll(" ", "");
      continue;
    }
    const call = /^(?:\[pid +\d+\] )?(send|recv)(?:msg|to|from)\(.* = (-?\d+)/.exec(line);
    const peeked = line.includes("MSG_PEEK");
    target = !call || Number(call[2]) <= 0 || peeked ? undefined : call[1] === "send" ? sent : received;
    target?.push("");
  }
  return { sent: sent.flatMap(messagesOf), received: received.flatMap(messagesOf) };
}

/** Messages with sequence and port set to 0, and a number that a family was given at run time too. */
function messagesOf(datagram: string): string[] {
  const bytes = Buffer.from(datagram, "hex");
  const messages: string[] = [];
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const message = Buffer.from(bytes.subarray(at, at + length));
    const type = message.readUInt16LE(4);
    message.fill(0, 8, 16);
    if (isGeneric && type > CONTROLLER) message.writeUInt16LE(0, 4);
    if (type >= NLMSG_MIN_TYPE && !(isGeneric && type === CONTROLLER)) messages.push(message.toString("hex"));
    at += (length + 3) & ~3;
  }
  return messages;
}

const words = (text: string) => text.split(" ");
let isGeneric = true;

const lab = await Lab.up({
  name: "record-netlink",
  topology: {
    hosts: [{ name: "dir1", links: [{ ifname: "eth0", segment: "lan", addresses: ["10.2.0.11/24", "2001:db8:2::11/64"] }] }],
  },
});
try {
  const host = lab.host("dir1");
  const recordings: Recording[] = [];
  for (const { name, run, before, after } of commands) {
    if (before) await host.sh(before, { allowFailure: true });
    isGeneric = run.startsWith("ipvsadm");
    const recording: Recording = { name, command: run, ...(await record(host, run)) };
    if (after) recording.after = await host.sh(after, { allowFailure: true });
    recordings.push(recording);
  }
  writeFileSync(join(import.meta.dirname, "recorded.json"), `${JSON.stringify(recordings, undefined, 2)}\n`);
  const [kernel, ipvsadm, ip] = [await host.sh("uname -r"), await host.sh("ipvsadm -v"), await host.sh("ip -V")];
  console.log(`${recordings.length} commands recorded: Linux ${kernel}, ${ipvsadm}, ${ip}`);
} finally {
  await lab.down();
}
