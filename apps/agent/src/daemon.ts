import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { readMachine } from "@trigon/kernel";
import { parsePlanEnvelope } from "@trigon/model";
import { textOf } from "@trigon/planner";
import { type ApplyResult, applyResult } from "./apply-result.ts";
import { serviceRefusal, Upgrades } from "./ask/upgrades.ts";
import { serveControl } from "./control.ts";
import { Doctor } from "./doctor.ts";
import { Duplicates } from "./duplicates.ts";
import { ControllerLink } from "./link/controller-link.ts";
import { Looking, sendCounters } from "./link/counting.ts";
import { watchListeners } from "./link/listeners.ts";
import { Reporter, type Run } from "./link/reporter.ts";
import { type Log, reasonOf } from "./log.ts";
import { openNode, openPolicy } from "./node.ts";
import { Groups } from "./pair/groups.ts";
import { PathProofs } from "./path/proofs.ts";
import type { AgentPaths } from "./paths.ts";
import { rehearse } from "./rehearse.ts";
import { type Identity, readIdentity } from "./state/identity.ts";
import { takeLock } from "./state/lock.ts";
import { statusOf } from "./status.ts";
import { agentVersion } from "./version.ts";

/** So long may the first pass hold up the control socket. */
const firstPassMs = 3_000;

/** A cached plan of so many fragments was rehearsal enough. */
const enoughFragments = 100;

export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
}

/**
 * The agent until `signal` aborts: first the cached plan, with no controller in sight, then the controller. Ending it, in whatever way, leaves
 * the data plane as it is.
 */
export async function runDaemon(paths: AgentPaths, log: Log, signal: AbortSignal): Promise<void> {
  const lock = takeLock(paths.lock);
  if ("holder" in lock) throw new AlreadyRunning(`An agent already runs here: process ${lock.holder.pid}`);
  // Four times V8's own: this program idles, and optimising more than its hottest code takes a small machine longer than it saves.
  setFlagsFromString("--interrupt-budget=600000");
  // Many short requests listen to one signal for the whole life of the process.
  setMaxListeners(0, signal);
  let reporter: Reporter | undefined;
  const node = await openNode({ paths, log, onChange: () => reporter?.changed() });
  const { loop, kernel, health, drains, guard } = node;
  loop.start();
  guard?.resume(loop.position);
  // First what is cached. A kernel in trouble must not keep commands waiting for ever.
  await Promise.race([loop.settled(), aborted(signal), sleep(firstPassMs, undefined, { ref: false })]);
  const identity = openIdentity(paths, log);
  // A real server's plans are small.
  if (loop.fragments.size < enoughFragments && identity?.enrollment.role !== "realServer") await rehearse();

  const doctor = new Doctor({
    subject: () => ({
      fragments: [...loop.fragments.values()],
      facts: loop.facts,
      foreign: loop.foreign.map((resource) => ({ key: resource.key, observed: textOf(resource) })),
      duplicates: duplicates.found,
    }),
    read: readMachine,
    onChange: () => reporter?.changed(),
    log,
  });
  doctor.start();
  const duplicates = new Duplicates({
    loop,
    kernel,
    // The finding goes out with the next report, and that is now.
    onChange: () =>
      void doctor.look().catch((error: unknown) => log.warn("The machine could not be looked at", { reason: reasonOf(error) })),
    log,
  });
  duplicates.start();

  const groups = new Groups({
    ...{ loop, kernel, health, log },
    directory: join(paths.state, "vrrp"),
    onChange: () => reporter?.changed(),
  });
  groups.start();

  const proofs = new PathProofs({ loop, log, signal });
  void proofs.run();

  const upgrades = new Upgrades({
    state: paths.state,
    refusal: () =>
      openPolicy(paths.policy, log)?.remoteUpgrade ? serviceRefusal() : "This node's policy allows no upgrade from afar",
  });

  let link: ControllerLink | undefined;
  const control = await serveControl(paths.socket, {
    status: async () =>
      statusOf({ loop, health, groups: groups.latest, link: link?.state ?? null, name: identity?.enrollment.name ?? null }),
    apply: async (body, json): Promise<ApplyResult> => {
      const acceptance = loop.accept(parsePlanEnvelope(body), json);
      await loop.settled();
      return applyResult(acceptance, loop);
    },
    doctor: () => doctor.look(),
    paths: async () => proofs.say((await kernel.counters()).rules),
    // What `status` says too, without the table: that of a large node is work in itself.
    sweep: async () => ({ sweepBoundMs: loop.sweepBoundMs }),
  });
  if (identity) {
    // First what is cached: a controller that is slow to answer holds nothing up, and the first report says what stands.
    await Promise.race([loop.settled(), aborted(signal)]);
    const { fleetId } = identity.enrollment;
    const run: Run = {
      agentVersion,
      bootId: loop.facts?.bootId ?? "unknown",
      runId: `${new Date().toISOString()}-${randomBytes(4).toString("hex")}`,
    };
    const looking = new Looking();
    const current: ControllerLink = new ControllerLink({
      identity,
      stateDirectory: paths.state,
      log,
      handlers: {
        position: () => loop.position,
        takenBack: () => guard?.takenBack ?? null,
        onPlan: (plan, json) => (loop.accept(plan, [json]).verdict === "gap" ? "gap" : "done"),
        onReportNow: () => reporter?.now(),
        onProbe: (serviceId) => {
          health.hasten(serviceId);
          proofs.hasten(serviceId);
        },
        onWatch: (seconds) => looking.tell(seconds),
        onAsk: async (question) => (await import("./ask/answer.ts")).answerTo(question, { kernel, upgrades }),
        onState: (state, reason) => log.info(`controller: ${state}`, reason === null ? {} : { reason }),
      },
    });
    link = current;
    const onDelivered = (generation: number) => guard?.reached(generation);
    reporter = new Reporter({ loop, health, doctor, groups, link: current, run, fleetId, onDelivered, log });
    current.start();
    reporter.changed();
    void watchListeners({ loop, link: current, log, signal });
    void sendCounters({ kernel, loop, drains, proofs, link: current, run, looking, log, signal });
  } else log.info("This node is not enrolled: it keeps what was applied by hand");

  const onReload = () => {
    loop.replacePolicy(openPolicy(paths.policy, log));
    log.info("The policy was read again");
  };
  process.on("SIGHUP", onReload);
  log.info("running", { version: agentVersion, pid: process.pid });

  await aborted(signal);
  log.info("stopping; traffic goes on");
  process.off("SIGHUP", onReload);
  control.close();
  doctor.close();
  duplicates.close();
  groups.close();
  await link?.stop();
  await reporter?.stop();
  await node.close();
  lock.release();
}

/** A damaged identity must not keep the cached plan from being held. */
function openIdentity(paths: AgentPaths, log: Log): Identity | null {
  try {
    return readIdentity(paths.state);
  } catch (error) {
    log.error("The identity cannot be read: enroll this node again", { reason: reasonOf(error) });
    return null;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
