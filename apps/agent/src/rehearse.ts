import { createRehearsalKernel } from "@trigon/kernel";
import { agentProtocol, type Facts, parseFragment, parsePlanEnvelope } from "@trigon/model";
import { resolveFragment } from "@trigon/planner";
import { Desired, type Kernel, Ledger, Outcomes, runPass } from "@trigon/reconciler";
import { judgePlan } from "./admission.ts";

/** Short rounds: what one leaves behind is gone before it grows old. */
const rounds = 4;
const services = 60;
const destinations = 10;

/**
 * Carries out a made-up plan on a kernel in memory, down to the bytes, and forgets it: the first real plan then finds compiled code and touched
 * memory. See decisions/001-rehearsal.md. Touches neither disk nor kernel; about a tenth of a second. Answers how many changes it made.
 */
export async function rehearse(): Promise<number> {
  let changes = 0;
  for (let round = 0; round < rounds; round++) changes += await rehearseOnce();
  return changes;
}

async function rehearseOnce(): Promise<number> {
  const json = JSON.stringify(madeUpPlan());
  const plan = parsePlanEnvelope(JSON.parse(json));
  const context = { fleetId: null, nodeId: null, position: null, fragments: new Map(), maxRemovalShare: 1 };
  const verdict = judgePlan(plan, context);
  if (verdict.verdict !== "accept") return 0;
  const desired = new Desired();
  const keys = new Set<string>();
  for (const raw of verdict.step.fragments) {
    const { data: fragment } = parseFragment(raw);
    if (fragment) desired.replace(raw.id, raw.hash, resolveFragment(fragment, facts), keys);
  }
  const { steps } = await runPass({
    kernel: createRehearsalKernel() as Kernel,
    journal: { append: (entries) => void JSON.stringify(entries) },
    ledger: new Ledger(facts.bootId),
    desired,
    outcomes: new Outcomes(),
    keys,
  });
  return steps.filter(({ result }) => result.ok).length;
}

const facts: Facts = {
  hostname: "rehearsal",
  machineId: "",
  bootId: "rehearsal",
  kernel: "",
  architecture: "",
  interfaces: [],
  routes: [],
  resolvers: [],
  iptables: "none",
};

const list = (length: number) => Array.from({ length }, (_, index) => index);

/** Addresses are short and long ones, which V8 keeps in two kinds of strings. */
function madeUpPlan() {
  const fragments = list(services).map((service) => ({
    id: `ds:${service}`,
    hash: "rehearsal",
    generation: 1,
    kind: "director.service",
    serviceId: `vs_${service}`,
    name: "rehearsal",
    vip: `10.${service * 4}.0.1`,
    protocol: "tcp",
    port: 80,
    scheduler: "wlc",
    schedulerFlags: [],
    persistence: null,
    onePacket: false,
    encapsulation: "ipip",
    snatSource: "vip",
    notrack: false,
    destinations: list(destinations).map((destination) => ({
      realServerId: `rs_${service}_${destination}`,
      rip: `10.${service * 4}.${destination * 25}.${service * 4}`,
      port: 80,
      forwarding: "dr",
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
    })),
  }));
  return {
    protocol: agentProtocol,
    fleetId: "rehearsal",
    epoch: 1,
    generation: 1,
    nodeId: "rehearsal",
    since: null,
    observeOnly: false,
    allowMassRemoval: false,
    fragments,
    tombstones: [],
  };
}
