import { setTimeout as sleep } from "node:timers/promises";
import { agentProtocol, type Fragment, resourceKey } from "@trigon/model";
import type { Kernel } from "@trigon/reconciler";
import { countersOf } from "../counters.ts";
import type { Drains } from "../drain/drains.ts";
import { type Log, reasonOf } from "../log.ts";
import type { NodeLoop } from "../loop.ts";
import type { PathProofs } from "../path/proofs.ts";
import type { ControllerLink } from "./controller-link.ts";
import type { Run } from "./reporter.ts";

const everyMs = 2_000;
const mostMs = 15_000;
const keptCosts = 8;

/**
 * Sends counters every two seconds, or less often where reading them takes long: a fortieth of the time goes into it, but that nobody waits
 * longer than a quarter of a minute.
 */
export async function sendCounters(options: {
  kernel: Kernel;
  loop: NodeLoop;
  drains: Drains;
  proofs: PathProofs;
  link: ControllerLink;
  run: Run;
  log: Log;
  signal: AbortSignal;
}): Promise<void> {
  const { kernel, loop, drains, proofs, link, run, log, signal } = options;
  let trouble: string | null = null;
  const costs: number[] = [];
  while (!signal.aborted) {
    const began = performance.now();
    let isCounted = false;
    try {
      if (loop.fragments.size > 0 && link.state.state === "streaming") {
        isCounted = true;
        const counted = await kernel.counters(servicesAlone(loop.fragments.values()));
        const counters = countersOf(counted, loop.fragments.values());
        const paths = await proofs.say(counted.rules);
        const { bootId, runId } = run;
        const at = new Date().toISOString();
        await link.counters({ protocol: agentProtocol, bootId, runId, at, ...counters, ...paths, drains: drains.report() });
      }
      trouble = null;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== trouble && !signal.aborted) log.warn("Counters could not be sent", { reason });
      trouble = reason;
    }
    const took = performance.now() - began;
    // What else the machine does makes a reading long, but not dear: the shortest of the last says what it costs.
    if (isCounted) costs.push(took);
    if (costs.length > keptCosts) costs.shift();
    await sleep(Math.max(everyMs - took, Math.min(mostMs, 40 * Math.min(...costs, mostMs))), undefined, { signal }).catch(
      () => undefined,
    );
  }
}

/** The services to count where nothing else is: only a real server's rules count, and reading rules starts a program. */
export function servicesAlone(fragments: Iterable<Fragment>): string[] | undefined {
  const keys: string[] = [];
  for (const fragment of fragments) {
    if (fragment.kind === "realServer.serve") return undefined;
    if (fragment.kind === "director.service") keys.push(resourceKey.ipvsService(fragment.protocol, fragment.vip, fragment.port));
  }
  return keys;
}
