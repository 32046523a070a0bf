import { join } from "node:path";
import { arpHolders, capture, fetchAnswers, type Lab, runLoad, startHttpd, startLoad } from "@trigon/lab";
import { vips } from "./services.ts";

/** What Trigon sets so that packets go the right way, and the packets that show whether it does. */
export interface Guard {
  name: string;
  /** What goes wrong without it. */
  prevents: string;
  /** The node that has it. */
  host: string;
  /** Takes it away by hand: a command for that node, on which no agent is running. */
  switchOff: string;
  /** What packets show, in words that tell right from wrong. */
  observe(lab: Lab): Promise<string>;
  /** What they show while it is on. */
  wanted: string;
}

const director = "10.2.0.11";
const client = "10.1.0.10";
const stranger = join(import.meta.dirname, "../../product/tools/stranger.py");
/** A change of rules by the back end that Trigon's own are in. */
export const rules = (change: string) =>
  `for end in nft legacy; do ! iptables-$end-save 2>/dev/null | grep -q TRIGON || iptables-$end ${change}; done`;
const ownerOf = (lab: Lab, mac: string) => lab.hosts.find(({ links }) => links.some((link) => link.mac === mac))?.name ?? mac;

/** The real servers that answer at a VIP, and whom they saw. */
async function answering(lab: Lab, vip: string): Promise<string> {
  const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 4, timeoutSeconds: 1 });
  const seen = [...new Set(answers.map(({ server, src }) => `${server} saw ${src}`))].sort();
  return seen.join(", ") || "nobody";
}

/** The hosts whose link addresses answer for a VIP. */
async function arpOwners(lab: Lab, vip: string): Promise<string> {
  const macs = await arpHolders(lab.host("router"), "eth1", vip);
  return macs
    .map((mac) => ownerOf(lab, mac))
    .sort()
    .join(", ");
}

/** As whom a real server asks for its gateway while it answers clients of the VIP. */
async function arpSenders(lab: Lab): Promise<string> {
  const rs1 = lab.host("rs1");
  const asked = await capture(rs1, `arp and ether src ${rs1.mac("eth0")}`, "eth0");
  await rs1.sh("ip neigh flush dev eth0");
  await fetchAnswers(lab.host("client"), `${vips.dr}:80`, { count: 2, timeoutSeconds: 3 });
  await asked.waitFor(/who-has 10\.2\.0\.1 tell/);
  const senders = (await asked.stop()).flatMap(({ line }) => /who-has 10\.2\.0\.1 tell ([\d.]+)/.exec(line)?.[1] ?? []);
  return [...new Set(senders)].sort().join(", ");
}

/** Whether an echo request to a Tunnel real server itself, in a tunnel packet that bears the director's address, is answered. */
async function strangersEcho(lab: Lab): Promise<string> {
  const rs4 = lab.host("rs4");
  const replies = await capture(rs4, "icmp", "eth0");
  await lab.host("client").exec([stranger, director, "10.3.0.24", client, "10.3.0.24", "icmp", "7777", "crafted"]);
  // A plain ping goes the same way after it: with its answer, the crafted one has had its own.
  await lab.host("client").sh("ping -c 1 -W 5 10.3.0.24");
  await replies.waitFor(/10\.3\.0\.24 > 10\.1\.0\.10: ICMP echo reply/, 20_000);
  const isCrafted = ({ line }: { line: string }) => line.includes("echo reply, id 7777,");
  return (await replies.stop()).some(isCrafted) ? "answered" : "not answered";
}

/** Who answers at the DR service's VIP behind a firewall on the director that drops what its tracking calls invalid. */
async function behindFirewall(lab: Lab): Promise<string> {
  const dir1 = lab.host("dir1");
  const rule = "INPUT -m conntrack --ctstate INVALID -j DROP";
  await dir1.sh(rules(`-I ${rule}`));
  try {
    return await answering(lab, vips.dr);
  } finally {
    await dir1.sh(rules(`-D ${rule}`));
  }
}

/** A port that no service publishes, on which a daemon of the node listens on all its addresses. */
const unpublished = 2222;

/** Who answers at the DR service's VIP on a port that is none of its own. */
async function behindVip(lab: Lab, host: string): Promise<string> {
  await startHttpd(lab, host, `0.0.0.0:${unpublished}`);
  const answers = await fetchAnswers(lab.host("client"), `${vips.dr}:${unpublished}`, { count: 2, timeoutSeconds: 1 });
  return [...new Set(answers.map(({ server }) => server))].join(", ") || "nobody";
}

/** The same for who sends frames for the VIP to a real server directly. */
async function behindVipOnLoopback(lab: Lab): Promise<string> {
  const router = lab.host("router");
  await router.sh(`ip route add ${vips.dr}/32 via 10.2.0.21`);
  try {
    return await behindVip(lab, "rs1");
  } finally {
    await router.sh(`ip route del ${vips.dr}/32 via 10.2.0.21`);
  }
}

/** What becomes of large uploads to the Tunnel service by a client that is told nothing of smaller links: an HTTP status, 000 for none in time. */
async function uploads(lab: Lab): Promise<string> {
  const on = lab.host("client");
  const told = "INPUT -p icmp -m icmp --icmp-type 3/4 -j DROP";
  // One packet at a time, as on a wire: what a virtual link carries in one piece is no test of sizes.
  await on.sh(`iptables-legacy -I ${told}; ip link set eth0 gso_max_segs 1`);
  try {
    const upload = `head -c 200000 /dev/zero | curl -s -m 6 -o /dev/null -w '%{http_code}' --data-binary @- http://${vips.tun}/bytes/10`;
    const results: string[] = [];
    for (let count = 0; count < 2; count++) results.push(await on.sh(upload, { allowFailure: true }));
    return results.sort().join(" ");
  } finally {
    await on.sh(`iptables-legacy -D ${told}; ip link set eth0 gso_max_segs 65535`);
  }
}

/** What becomes of connections held open to the DR service while somebody empties the director's table and it is put back a moment later. */
async function heldOverEmptiedTable(lab: Lab): Promise<string> {
  const held = 20;
  // Each receives, and says so, every half second.
  const load = await startLoad(lab.host("client"), { targets: [`${vips.dr}:80`], held });
  await lab.host("dir1").sh("ipvsadm -Sn >/run/table; ipvsadm -C; sleep 0.6; ipvsadm -R </run/table; rm /run/table");
  // A connection that is silent for three seconds is one that was lost: so long new ones are made.
  await runLoad(lab.host("client"), { targets: [`${vips.dr}:80`], seconds: 5, rate: 2 });
  const { heldFailed } = await load.stop();
  return heldFailed === 0 ? `${held} of ${held} went on` : `${heldFailed} of ${held} were lost`;
}

const rips: Record<string, string> = { rs1: "10.2.0.21", rs2: "10.2.0.22" };

/** Whether a client's next connection goes elsewhere once the real server that answered the last one is at weight 0. */
async function afterQuiescing(lab: Lab, vip: string): Promise<string> {
  const ask = async () =>
    /"server": ?"(\w+)"/.exec(await lab.host("client").sh(`curl -s -0 -m 3 http://${vip}/`, { allowFailure: true }))?.[1];
  const first = await ask();
  if (first === undefined) return "nobody";
  const weigh = (weight: number) => lab.host("dir1").sh(`ipvsadm -e -t ${vip}:80 -r ${rips[first]}:80 -g -w ${weight}`);
  await weigh(0);
  try {
    const second = await ask();
    if (second === undefined) return "nobody";
    return second === first ? "the same real server" : "the other real server";
  } finally {
    await weigh(1);
  }
}

/** Who answers clients of many addresses at the service that hashes them. */
async function hashedAnswers(lab: Lab): Promise<string> {
  const on = lab.host("client");
  const addresses = Array.from({ length: 8 }, (_, index) => `10.1.0.${50 + index}`);
  const all = (change: string) => on.sh(addresses.map((address) => `ip addr ${change} ${address}/24 dev eth0`).join("; "));
  await all("add");
  try {
    const asked = addresses.map(
      (address) => `curl -s -0 -m 2 -o /dev/null -w '%{http_code} ' --interface ${address} http://${vips.hashed}/`,
    );
    const codes = (await on.sh(asked.join("; "), { allowFailure: true })).split(" ").filter((code) => code === "200");
    return `${codes.length} of ${addresses.length} are answered`;
  } finally {
    await all("del");
  }
}

/** What becomes of a large answer whose way to the client narrows after the first router: a real server must be told, by way of the VIP. */
async function downloads(lab: Lab): Promise<string> {
  const router = lab.host("router");
  await router.sh(`ip route add ${client}/32 dev eth0 mtu 1000`);
  try {
    const download = `curl -s -m 6 -o /dev/null -w '%{http_code}, %{size_download} bytes' http://${vips.dr}/bytes/100000`;
    return await lab.host("client").sh(download, { allowFailure: true });
  } finally {
    await router.sh(`ip route del ${client}/32 dev eth0`);
    for (const name of Object.keys(rips)) await lab.host(name).sh("ip route flush cache"); // what it was told
  }
}

/** Who answers by NAT from the link that clients come in by, and whether the director tells that real server of a shorter way, past itself. */
async function answeringOnOneLink(lab: Lab): Promise<string> {
  const rs3 = lab.host("rs3");
  await rs3.sh(`ip route add default via ${director} table 100; ip rule add from 10.2.0.23 table 100`);
  try {
    const told = await capture(rs3, "icmp[icmptype] == icmp-redirect", "eth0");
    const answered = await answering(lab, vips.oneArmed);
    const redirects = await told.stop();
    return redirects.length > 0 ? `${answered}, told of a way past the director` : answered;
  } finally {
    await rs3.sh("ip rule del table 100; ip route flush table 100; ip route flush cache");
  }
}

export const guards: readonly Guard[] = [
  {
    name: "arp-ignore",
    prevents: "a DR real server answers ARP for the VIP and takes the director's traffic",
    host: "rs1",
    switchOff: "sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.lo.arp_ignore=0",
    observe: (lab) => arpOwners(lab, vips.dr),
    wanted: "dir1",
  },
  {
    name: "arp-announce",
    prevents: "a DR real server asks for its gateway as the VIP, and the gateway learns the VIP at its link address",
    host: "rs1",
    switchOff: "sysctl -qw net.ipv4.conf.all.arp_announce=0 net.ipv4.conf.lo.arp_announce=0",
    observe: arpSenders,
    wanted: "10.2.0.21",
  },
  {
    name: "vip-on-lo",
    prevents: "a DR real server drops the packets that the director hands to it",
    host: "rs1",
    switchOff: `ip addr del ${vips.dr}/32 dev lo`,
    observe: (lab) => answering(lab, vips.dr),
    wanted: `rs1 saw ${client}, rs2 saw ${client}`,
  },
  {
    name: "tunnel-address",
    prevents: "a tunnel device without an address brings packets that a distribution's rp_filter drops",
    host: "rs4",
    switchOff: "ip addr flush dev trg-1",
    observe: (lab) => answering(lab, vips.tun),
    wanted: `rs3 saw ${client}, rs4 saw ${client}`,
  },
  {
    name: "tunnel-filter",
    prevents: "whoever forges the director's address reaches all of a Tunnel real server through its tunnel",
    host: "rs4",
    switchOff: rules("-t raw -F TRIGON-PREROUTING"),
    observe: strangersEcho,
    wanted: "not answered",
  },
  {
    name: "tunnel-rp-filter",
    prevents: "the kernel drops what comes out of a tunnel, because the way back to the client is another",
    host: "rs4",
    switchOff: "sysctl -qw net.ipv4.conf.trg-1.rp_filter=1",
    observe: (lab) => answering(lab, vips.tun),
    wanted: `rs3 saw ${client}, rs4 saw ${client}`,
  },
  {
    name: "mss-clamp",
    prevents: "clients behind a filter that stops ICMP send segments that do not fit into the tunnel, and hang",
    host: "rs4",
    switchOff: rules("-t mangle -F TRIGON-OUTPUT"),
    observe: uploads,
    wanted: "200 200",
  },
  {
    name: "ip-forward",
    prevents: "replies of NAT real servers end at the director",
    host: "dir1",
    switchOff: "sysctl -qw net.ipv4.ip_forward=0",
    observe: (lab) => answering(lab, vips.nat),
    wanted: `rs5 saw ${client}, rs6 saw ${client}`,
  },
  {
    name: "send-redirects",
    prevents:
      "the director tells a NAT real server on its own link to answer clients directly, from an address they never spoke to",
    host: "dir1",
    switchOff: "sysctl -qw net.ipv4.conf.all.send_redirects=1 net.ipv4.conf.eth0.send_redirects=1",
    observe: answeringOnOneLink,
    wanted: `rs3 saw ${client}`,
  },
  {
    name: "source-nat",
    prevents: "full NAT real servers answer the client directly, from an address it never spoke to",
    host: "dir1",
    switchOff: rules("-t nat -F TRIGON-POSTROUTING"),
    observe: (lab) => answering(lab, vips.fullnat),
    wanted: `rs1 saw ${director}, rs2 saw ${director}`,
  },
  {
    name: "ipvs-conntrack",
    prevents: "IPVS keeps out of netfilter's tracking, and full NAT translates no source",
    host: "dir1",
    switchOff: "sysctl -qw net.ipv4.vs.conntrack=0",
    observe: (lab) => answering(lab, vips.fullnat),
    wanted: `rs1 saw ${director}, rs2 saw ${director}`,
  },
  {
    name: "notrack",
    prevents: "a stateful firewall on a full NAT director drops DR connections, of which it sees one direction only",
    host: "dir1",
    switchOff: rules("-t raw -F TRIGON-PREROUTING"),
    observe: behindFirewall,
    wanted: `rs1 saw ${client}, rs2 saw ${client}`,
  },
  {
    name: "vip-default-deny",
    prevents: "a daemon of the director that listens on all addresses answers at the VIP",
    host: "dir1",
    switchOff: rules("-F TRIGON-INPUT"),
    observe: (lab) => behindVip(lab, "dir1"),
    wanted: "nobody",
  },
  {
    name: "vip-default-deny-on-lo",
    prevents: "a daemon of a real server that listens on all addresses answers at the VIP on lo",
    host: "rs1",
    switchOff: rules("-F TRIGON-INPUT"),
    observe: behindVipOnLoopback,
    wanted: "nobody",
  },
  {
    name: "vip-icmp-errors",
    prevents: "a real server is never told that its packets are too long for a link on the way, and large answers hang",
    host: "dir1",
    switchOff: rules("-D TRIGON-INPUT -p icmp -m icmp --icmp-type 3 -m comment --comment trigon:vip-icmp:3@300 -j RETURN"),
    observe: downloads,
    wanted: "200, 100000 bytes",
  },
  {
    name: "spared-resets",
    prevents: "the director itself resets the connections that go through it when somebody empties its table for a moment",
    host: "dir1",
    switchOff: rules("-F TRIGON-OUTPUT-R"),
    observe: heldOverEmptiedTable,
    wanted: "20 of 20 went on",
  },
  {
    name: "expire-nodest-conn",
    prevents: "the kernel forgets every connection when somebody empties its table for a moment",
    host: "dir1",
    switchOff: "sysctl -qw net.ipv4.vs.expire_nodest_conn=1",
    observe: heldOverEmptiedTable,
    wanted: "20 of 20 went on",
  },
  {
    name: "expire-quiescent-template",
    prevents: "persistence sends new connections to a real server that is out",
    host: "dir1",
    switchOff: "sysctl -qw net.ipv4.vs.expire_quiescent_template=0",
    observe: (lab) => afterQuiescing(lab, vips.sticky),
    wanted: "the other real server",
  },
  {
    name: "hash-fallback",
    prevents: "sh refuses the clients of a real server that is drained",
    host: "dir1",
    switchOff: `ipvsadm -E -t ${vips.hashed}:80 -s sh`,
    observe: hashedAnswers,
    wanted: "8 of 8 are answered",
  },
];

/** The guard of a name; throws with all names when there is none. */
export function guardNamed(name: string): Guard {
  const guard = guards.find((one) => one.name === name);
  if (!guard) throw new Error(`no guard ${name}; there are ${guards.map((one) => one.name).join(", ")}`);
  return guard;
}
