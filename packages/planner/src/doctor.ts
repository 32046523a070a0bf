import {
  type DirectorServiceFragment,
  type DoctorCheck,
  type DoctorFinding,
  endpoint,
  type Facts,
  type Forwarding,
  type Fragment,
  familyOf,
  type Machine,
  protocolNumber,
  type RealServerFragment,
} from "@trigon/model";
import { encapsulations } from "./encapsulations.ts";
import { type FilteredPacket, filterTable, verdictOf } from "./firewall.ts";
import { interfaceToward } from "./network.ts";
import { tunnelName } from "./real-server.ts";

export interface DoctorInput {
  /** What this node shall hold. */
  fragments: readonly Fragment[];
  facts: Facts;
  machine: Machine;
  /** Services in the kernel's table that Trigon did not make, as `ipvsadm -Sn` prints them. */
  foreignServices: readonly string[];
  /** VIPs of this director that others on the link hold too, with their link addresses. */
  duplicates?: readonly { vip: string; interface: string; macs: readonly string[] }[];
}

type Find = (
  check: DoctorCheck,
  subject: string,
  state: DoctorFinding["state"],
  words: Pick<DoctorFinding, "observed" | "wanted" | "why" | "command">,
) => void;

/** A director may have tens of thousands of real servers; a report has room for so many findings. */
const mostWrong = 700;
const mostWell = 200;

/** What would keep this node's part from working, judged by what was read of the machine. Pure; what is well is said too. */
export function examine(input: DoctorInput): DoctorFinding[] {
  const wrong: DoctorFinding[] = [];
  const well: DoctorFinding[] = [];
  const seen = new Set<string>();
  const find: Find = (check, subject, state, words) => {
    const name = `${check} ${subject}`;
    const list = state === "ok" ? well : wrong;
    if (seen.has(name) || list.length >= (state === "ok" ? mostWell : mostWrong)) return;
    seen.add(name);
    list.push({ check, subject: cut(subject, 256), state, ...mapped(words) });
  };
  const directed = input.fragments.filter((fragment) => fragment.kind === "director.service");
  const served = input.fragments.filter((fragment) => fragment.kind === "realServer.serve");
  checkModules(input, directed, served, find);
  checkTools(input, directed, find);
  checkForwarding(input, directed, find);
  checkReversePath(input, served, find);
  checkFirewall(input, directed, served, find);
  checkMtu(input, directed, find);
  checkOffloads(input, directed, find);
  checkOthers(input, find);
  checkDuplicates(input, find);
  return [...wrong, ...well];
}

/** Which modules a node with these fragments needs: what is to be read of the machine. */
export function modulesFor(fragments: readonly Fragment[]): string[] {
  const names = new Set<string>();
  for (const fragment of fragments) {
    if (fragment.kind === "director.service") {
      names.add("ip_vs").add(`ip_vs_${fragment.scheduler}`);
      if (hasForwarding(fragment, "fullnat")) names.add("nf_conntrack").add("xt_ipvs");
    } else if (fragment.kind === "realServer.serve" && hasForwarding(fragment, "tun")) {
      for (const name of encapsulations[fragment.encapsulation].modules) names.add(name);
      names.add("xt_mac");
    }
  }
  return [...names];
}

/** Which files under /proc/sys doctor needs to read for these interfaces. */
export function sysctlsFor(interfaces: readonly string[]): string[] {
  return ["net/ipv4/ip_forward", ...["all", ...interfaces].map((name) => `net/ipv4/conf/${name}/rp_filter`)];
}

/** The tunnel devices that these fragments mean on this node. */
export function tunnelsFor(fragments: readonly Fragment[], facts: Facts): string[] {
  const names = fragments.flatMap((fragment) =>
    fragment.kind === "realServer.serve" ? tunnelsOf(fragment, facts).map(({ name }) => name) : [],
  );
  return [...new Set(names)];
}

const hasForwarding = (fragment: DirectorServiceFragment | RealServerFragment, wanted: Forwarding) =>
  (fragment.kind === "director.service" ? fragment.destinations : fragment.endpoints).some(
    ({ forwarding }) => forwarding === wanted,
  );

function tunnelsOf({ endpoints, directors, encapsulation }: RealServerFragment, facts: Facts) {
  return endpoints
    .filter(({ forwarding }) => forwarding === "tun")
    .flatMap(({ rip }) =>
      directors.map(({ index, address }) => ({ name: tunnelName(index, encapsulation, rip, facts), address, rip })),
    );
}

function checkModules(
  { machine: { modules } }: DoctorInput,
  directed: readonly DirectorServiceFragment[],
  served: readonly RealServerFragment[],
  find: Find,
): void {
  for (const name of modulesFor([...directed, ...served])) {
    const state = modules[name];
    if (state === undefined) continue;
    const isOptional = name === "xt_mac";
    find("module", name, state !== "missing" ? "ok" : isOptional ? "warn" : "fail", {
      observed: state,
      wanted: "loaded, or there to be loaded",
      why: isOptional
        ? "Without it a neighbour on the same link could forge the director's tunnel packets; the rule against that is left out."
        : "What the plan asks of this node needs this kernel module.",
      command: `modprobe -n -v ${name}`,
    });
  }
}

function checkTools(
  { machine: { tools, capabilities } }: DoctorInput,
  directed: readonly DirectorServiceFragment[],
  find: Find,
): void {
  for (const [program, isThere] of Object.entries(tools)) {
    if (program === "arping" && directed.length === 0) continue;
    find("tool", program, isThere ? "ok" : program === "arping" ? "warn" : "fail", {
      observed: isThere ? "installed" : "not installed",
      wanted: "installed",
      why: "The agent starts this program.",
      command: `command -v ${program}`,
    });
  }
  for (const name of ["NET_ADMIN", "NET_RAW"]) {
    find("capability", `CAP_${name}`, capabilities.includes(name) ? "ok" : "fail", {
      observed: capabilities.includes(name) ? "held" : "not held",
      wanted: "held",
      why: "Without it the kernel refuses what the agent asks.",
      command: "grep CapEff /proc/self/status",
    });
  }
}

function checkForwarding({ machine: { sysctls } }: DoctorInput, directed: readonly DirectorServiceFragment[], find: Find): void {
  const masquerading = directed.find(
    (fragment) => familyOf(fragment.vip) === 4 && (hasForwarding(fragment, "nat") || hasForwarding(fragment, "fullnat")),
  );
  const value = sysctls["net/ipv4/ip_forward"];
  if (!masquerading || value === undefined) return;
  find("forwarding", "net.ipv4.ip_forward", value === "1" ? "ok" : "fail", {
    observed: value,
    wanted: "1",
    why: `"${masquerading.name}" is forwarded by NAT: replies are routed through this director.`,
    command: "sysctl net.ipv4.ip_forward",
  });
}

/** The kernel uses the greater of `all` and the interface's own; 1 is strict and 2 loose. */
function effective(sysctls: Machine["sysctls"], name: string): number | undefined {
  const own = sysctls[`net/ipv4/conf/${name}/rp_filter`];
  const all = sysctls["net/ipv4/conf/all/rp_filter"];
  return own === undefined ? undefined : Math.max(Number(own), Number(all ?? 0));
}

function checkReversePath({ facts, machine: { sysctls } }: DoctorInput, served: readonly RealServerFragment[], find: Find): void {
  const look = (name: string, isTunnel: boolean) => {
    const value = effective(sysctls, name);
    if (value === undefined) return;
    find("reversePath", name, value !== 1 ? "ok" : isTunnel ? "fail" : "warn", {
      observed: `rp_filter ${value}${value === 1 ? " (strict)" : ""}`,
      wanted: isTunnel ? "2 or 0" : "2 or 0 where requests come in by another way than replies go out",
      why: isTunnel
        ? "Strict, the kernel drops what comes out of the tunnel: the way back to a client is not through it."
        : "Strict, the kernel drops requests of clients whose replies would leave by another interface.",
      command: `sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.${name}.rp_filter`,
    });
  };
  for (const fragment of served) for (const { name } of tunnelsOf(fragment, facts)) look(name, true);
  const isDirect = served.some((fragment) => hasForwarding(fragment, "dr") || hasForwarding(fragment, "tun"));
  if (isDirect) for (const { name, up } of facts.interfaces) if (up && name !== "lo") look(name, false);
}

function checkFirewall(
  { facts, machine: { firewall, nftables } }: DoctorInput,
  directed: readonly DirectorServiceFragment[],
  served: readonly RealServerFragment[],
  find: Find,
): void {
  const table = filterTable(firewall);
  for (const name of directed.length + served.length > 0 ? nftables : []) {
    find("firewall", `nftables ${name}`, "warn", {
      observed: "rules that doctor does not read",
      wanted: "they let the VIPs' ports and tunnels through",
      why: "Every table decides about every packet: what one lets through another may still drop.",
      command: `nft list table ${name}`,
    });
  }
  const looked = new Set<string>();
  const look = (subject: string, packet: FilteredPacket, why: string) => {
    if (looked.has(subject)) return;
    looked.add(subject);
    const { isAccepted, by } = verdictOf(table, packet);
    find("firewall", subject, isAccepted ? "ok" : "fail", {
      observed: `${isAccepted ? "let through" : "dropped"} by ${by}`,
      wanted: isAccepted
        ? "let through"
        : "let through: by a rule of the host's, or by managed rules (manageFirewall of the director group)",
      why,
      command: `iptables -S ${packet.chain}`,
    });
  };
  for (const { vip, protocol, port, name, notrack, destinations } of directed) {
    if (familyOf(vip) !== 4) continue;
    const to = { protocol: protocolNumber[protocol], destination: vip, destinationPort: port };
    look(
      `INPUT ${endpoint(vip, port)}/${protocol}`,
      { chain: "INPUT", ...to },
      `Clients of "${name}" come in here, before IPVS sees them.`,
    );
    if (!notrack && destinations.some(({ forwarding }) => forwarding === "dr" || forwarding === "tun")) {
      const later = verdictOf(table, { chain: "INPUT", ...to, state: "INVALID" });
      if (!later.isAccepted && /\bINVALID\b/.test(later.by)) {
        find("firewall", `INPUT ${endpoint(vip, port)}/${protocol} INVALID`, "warn", {
          observed: `dropped by ${later.by}`,
          wanted:
            "let through before that rule: by one of the host's, or by managed rules (manageFirewall of the director group)",
          why: `This director sees one direction of "${name}" only: its tracking may call later packets invalid.`,
          command: "iptables -S INPUT",
        });
      }
    }
    for (const { rip, forwarding } of destinations) {
      if (forwarding !== "nat" && forwarding !== "fullnat") continue;
      const packet = { chain: "FORWARD", protocol: protocolNumber[protocol], source: rip } as const;
      look(`FORWARD ${rip}/${protocol}`, packet, `Replies of "${name}" are routed through this director.`);
    }
  }
  for (const fragment of served) {
    const { vip, protocol, port, name, endpoints, encapsulation } = fragment;
    if (familyOf(vip) !== 4) continue;
    const { protocol: outer, port: outerPort, name: wrapping } = encapsulations[encapsulation];
    for (const { address, rip } of tunnelsOf(fragment, facts)) {
      const toPort = outerPort === null ? {} : { destinationPort: outerPort };
      const packet = { chain: "INPUT", protocol: outer, source: address, destination: rip, ...toPort } as const;
      look(
        `INPUT ${wrapping} ${address}`,
        packet,
        `The director ${address} sends the requests of "${name}" wrapped in ${wrapping}.`,
      );
    }
    if (endpoints.some(({ forwarding }) => forwarding === "dr" || forwarding === "tun")) {
      const to = { protocol: protocolNumber[protocol], destination: vip, destinationPort: port };
      look(
        `INPUT ${endpoint(vip, port)}/${protocol}`,
        { chain: "INPUT", ...to },
        `Requests of "${name}" arrive for the VIP itself.`,
      );
    }
  }
}

const ethernet = 1500;

function checkMtu({ facts }: DoctorInput, directed: readonly DirectorServiceFragment[], find: Find): void {
  for (const { destinations, encapsulation, name } of directed) {
    for (const { rip, forwarding } of destinations) {
      if (forwarding !== "tun") continue;
      const leg = interfaceToward(rip, facts);
      if (!leg) continue;
      const { overhead } = encapsulations[encapsulation];
      const wanted = ethernet + overhead;
      find("mtu", `${rip} by ${leg.name}`, leg.mtu >= wanted ? "ok" : "warn", {
        observed: `${leg.mtu} bytes`,
        wanted: `${wanted} bytes, or an MSS of at most ${leg.mtu - overhead - 40} at the real servers`,
        why: `Tunnel packets of "${name}" are ${overhead} bytes longer: where ICMP is filtered, large requests hang.`,
        command: `ip link show ${leg.name}`,
      });
    }
  }
}

function checkOffloads({ machine: { offloads } }: DoctorInput, directed: readonly DirectorServiceFragment[], find: Find): void {
  if (directed.length === 0) return;
  for (const [name, on] of Object.entries(offloads)) {
    const isOn = on.includes("large-receive-offload");
    find("offload", name, isOn ? "fail" : "ok", {
      observed: isOn ? "large-receive-offload is on" : "large-receive-offload is off",
      wanted: "off",
      why: "Packets that the card has merged cannot be forwarded: they are too long for the next link.",
      command: `ethtool -k ${name}`,
    });
  }
}

/** Programs that write to the same table or bind the same addresses. */
const managers = ["keepalived", "kube-proxy", "ldirectord", "seesaw_engine"];
const clocks = ["chronyd", "ntpd", "systemd-timesyn", "systemd-timesyncd", "openntpd"];

function checkOthers({ machine: { programs }, foreignServices }: DoctorInput, find: Find): void {
  const running = managers.filter((name) => programs.includes(name));
  for (const name of running) {
    find("manager", name, "warn", {
      observed: "running",
      wanted: "one manager for each VIP and service",
      why: "It writes to the same IPVS table: both would take the other's services for drift of their own, or fight over a VIP.",
      command: `pgrep -a ${name}`,
    });
  }
  if (running.length === 0) {
    find("manager", "IPVS", "ok", {
      observed: "no other manager runs",
      wanted: "one manager",
      why: "Two managers of one IPVS table undo each other's work.",
      command: `pgrep -a '${managers.slice(0, 3).join("|")}'`,
    });
  }
  for (const service of foreignServices) {
    find("foreignService", service, "warn", {
      observed: service,
      wanted: "known to whoever made it",
      why: "Trigon did not make this service and leaves it as it is.",
      command: "ipvsadm -Ln",
    });
  }
  const clock = clocks.find((name) => programs.includes(name));
  find("clock", "time", clock ? "ok" : "warn", {
    observed: clock ? `${clock} runs` : "nothing keeps the clock",
    wanted: "a time service",
    why: "Certificates and reports are judged by the time.",
    command: "timedatectl",
  });
}

function checkDuplicates({ duplicates = [] }: DoctorInput, find: Find): void {
  for (const { vip, interface: name, macs } of duplicates) {
    find("duplicateVip", vip, "fail", {
      observed: `held by ${macs.join(" and ")} too`,
      wanted: "held by this director only",
      why: "Whoever asks for the VIP takes whom it hears last: clients reach the other machine, and connections break.",
      command: vip.includes(":") ? `tcpdump -eni ${name} 'icmp6 and ip6[40] == 136'` : `arping -D -c 2 -I ${name} ${vip}`,
    });
  }
}

/** Seconds that a node's clock may be off before people wonder about its events and certificates. */
const mostSkewSeconds = 10;

/** How far a node's clock is from the controller's, which only the controller can tell. Positive: the node is behind. */
export function judgeClock(skewMs: number): DoctorFinding {
  const seconds = Math.round(skewMs / 1000);
  return {
    check: "clock",
    subject: "skew",
    state: Math.abs(seconds) <= mostSkewSeconds ? "ok" : "warn",
    observed:
      seconds === 0 ? "as the controller's" : `${Math.abs(seconds)} s ${seconds > 0 ? "behind" : "ahead of"} the controller`,
    wanted: `at most ${mostSkewSeconds} s off`,
    why: "Certificates, events and drain deadlines are judged by the time.",
    command: "date -u",
  };
}

const cut = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function mapped<T extends Record<string, string>>(words: T): T {
  return Object.fromEntries(Object.entries(words).map(([key, text]) => [key, cut(text, 512)])) as T;
}
