import { type Lab, until } from "@trigon/lab";
import type { Random } from "../walk/random.ts";
import { macOf, startAgent } from "./agent.ts";
import { type Director, directors, findingsOf, holdersOf, killAgent, killKeepalived, other } from "./pair-setup.ts";

/** One random fault of a pair: what it is, in words, how to do it and how to take it back. */
export interface Fault {
  kind: string;
  text: string;
  begin(): Promise<unknown>;
  /** How long it lasts, or what is waited for meanwhile. */
  during(): Promise<unknown>;
  heal(): Promise<unknown>;
}

export const faultKinds = [
  ...(["loss", "delay", "partition", "deaf", "link", "keepalived", "agent", "both"] as const),
  // What is likelier in life comes oftener: a process that ends, and a link that loses.
  ...(["keepalived", "agent", "both", "link", "loss"] as const),
];

/** Draws a fault of a kind, or of a random one. `holder` has the VIP now. */
export function drawFault(random: Random, lab: Lab, vip: string, holder: Director): Fault {
  const kind = random.pick(faultKinds);
  const victim = random.next() < 0.7 ? holder : other(holder);
  const role = victim === holder ? "holder" : "standby";
  const host = lab.host(victim);
  const lastMs = 500 + random.below(2_500);
  const during = () => new Promise((resolve) => setTimeout(resolve, lastMs));
  const both = (work: (name: Director) => Promise<unknown>) => Promise.all(directors.map(({ name }) => work(name)));
  const disturbBoth = (netem: string) => ({
    begin: () => both((name) => disturb(lab, name, netem)),
    heal: () => both((name) => undisturb(lab, name)),
  });
  switch (kind) {
    case "loss": {
      const percent = 5 + random.below(36);
      return { kind, text: `${percent} % loss between members for ${lastMs} ms`, ...disturbBoth(`loss ${percent}%`), during };
    }
    case "delay": {
      const ms = 10 + random.below(190);
      return { kind, text: `${ms} ms of delay between members for ${lastMs} ms`, ...disturbBoth(`delay ${ms}ms`), during };
    }
    case "partition":
      return {
        ...{ kind, text: "members cut off from one another, until both have seen two holders", ...disturbBoth("loss 100%") },
        during: () => bothSay(lab, vip),
      };
    case "deaf":
      return {
        ...{ kind, text: `nothing of ${victim} (${role}) reaches the other for ${lastMs} ms` },
        begin: () => disturb(lab, victim, "loss 100%"),
        during,
        heal: () => undisturb(lab, victim),
      };
    case "link":
      return {
        ...{ kind, text: `link of ${victim} (${role}) down for ${lastMs} ms` },
        begin: () => host.sh("ip link set eth0 down"),
        during,
        heal: () => host.sh("ip link set eth0 up; ip route replace default via 10.2.0.1"),
      };
    case "keepalived":
      return {
        ...{ kind, text: `kill -9 of keepalived on ${victim} (${role})`, begin: () => killKeepalived(host), during },
        heal: async () => {},
      };
    case "agent":
      return {
        ...{ kind, text: `kill -9 of the agent on ${victim} (${role}) for ${lastMs} ms`, begin: () => killAgent(host), during },
        heal: () => startAgent(host),
      };
    case "both":
      return {
        ...{ kind, text: `kill -9 of agent and keepalived on ${victim} (${role}) for ${lastMs} ms` },
        begin: async () => {
          await killAgent(host);
          await killKeepalived(host);
        },
        during,
        heal: () => startAgent(host),
      };
  }
}

/** `tc netem` on what goes to the other member, VRRP and sync alike, and on nothing else. */
const disturb = (lab: Lab, from: Director, netem: string) => {
  const to = directors.find(({ name }) => name !== from)!.address;
  const member = (address: string) => `tc filter add dev eth0 parent 1: protocol ip u32 match ip dst ${address} flowid 1:3`;
  return lab
    .host(from)
    .sh(
      "tc qdisc add dev eth0 root handle 1: prio bands 3 priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 && " +
        `tc qdisc add dev eth0 parent 1:3 handle 30: netem ${netem} && ${member(`${to}/32`)} && ${member("224.0.0.81/32")}`,
    );
};
const undisturb = (lab: Lab, from: Director) => lab.host(from).sh("tc qdisc del dev eth0 root");

/** Until both hold the address and the agent of each says so, with the other's MAC. */
async function bothSay(lab: Lab, vip: string): Promise<void> {
  await until("both to hold the VIP", async () => (await holdersOf(lab, vip)).length === 2, { deadlineMs: 10_000 });
  for (const { name } of directors) {
    const mac = await macOf(lab, other(name));
    const isSaid = async () =>
      (await findingsOf(lab.host(name))).some(({ code, meta }) => code === "member.rival" && meta?.macs?.includes(mac));
    await until(`${name} to say that ${mac} holds the VIP too`, isSaid, { deadlineMs: 25_000, everyMs: 250 });
  }
}
