import type { z } from "zod";
import { isDottedQuad } from "./address.ts";
import { PlannedHealth } from "./health.ts";
import { type DirectorServiceFragment, Fragment, type PlannedDestination, type RawFragment } from "./plan.ts";
import { Encapsulation, Forwarding, Protocol, Scheduler, type SnatSource } from "./vocabulary.ts";

/**
 * A fragment as it travels and is kept: a director's destinations leave out what goes without saying, which is most of a large plan. That is
 * the service's port, the forwarding that the fragment then names itself, weight 1, and thresholds of 0. `parseFragment` reads it.
 */
export function briefFragment(fragment: Fragment): RawFragment {
  const usual = fragment.kind === "director.service" ? fragment.destinations[0]?.forwarding : undefined;
  if (fragment.kind !== "director.service" || usual === undefined) return fragment;
  const destinations = fragment.destinations.map((destination) => {
    const { port, forwarding, weight, upperThreshold, lowerThreshold, ...rest } = destination;
    return {
      ...rest,
      ...(port === fragment.port ? {} : { port }),
      ...(forwarding === usual ? {} : { forwarding }),
      ...(weight === 1 ? {} : { weight }),
      ...(upperThreshold === 0 ? {} : { upperThreshold }),
      ...(lowerThreshold === 0 ? {} : { lowerThreshold }),
    };
  });
  return { ...fragment, forwarding: usual, destinations };
}

/**
 * Reads a fragment, brief or spelled out, as the schema `Fragment` has it. A plain IPv4 director's fragment is recognised by a handful of
 * comparisons: a director's first plan holds tens of thousands of values, and its traffic waits for them. Such a fragment keeps members nobody
 * knows; everything else, and every error, is the schema's.
 */
export function parseFragment(raw: unknown): z.ZodSafeParseResult<Fragment> {
  const plain = plainDirectorService(raw);
  return plain ? { success: true, data: plain } : Fragment.safeParse(spelledOut(raw));
}

/** What `briefFragment` left out, put back. Whatever else is wrong is left for the schema to say. */
function spelledOut(raw: unknown): unknown {
  if (!isRecord(raw) || raw.kind !== "director.service" || !Array.isArray(raw.destinations)) return raw;
  const { port, forwarding } = raw;
  const usual = { port, forwarding, weight: 1, upperThreshold: 0, lowerThreshold: 0 };
  const destinations = raw.destinations.map((destination) =>
    isRecord(destination) ? { ...usual, ...destination } : destination,
  );
  return { ...raw, destinations };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

const schedulers: ReadonlySet<unknown> = new Set(Scheduler.options);
const forwardings: ReadonlySet<unknown> = new Set(Forwarding.options);
const protocols: ReadonlySet<unknown> = new Set(Protocol.options);
const encapsulations: ReadonlySet<unknown> = new Set(Encapsulation.options);
const snatSources: ReadonlySet<unknown> = new Set(["vip", "dip"] satisfies SnatSource[]);

/** Answers nothing where it is not sure: the schema then decides. */
function plainDirectorService(raw: unknown): DirectorServiceFragment | undefined {
  if (!isRecord(raw)) return undefined;
  const isPlain =
    raw.kind === "director.service" &&
    typeof raw.id === "string" &&
    typeof raw.hash === "string" &&
    isNumber(raw.generation, Number.MAX_SAFE_INTEGER) &&
    typeof raw.serviceId === "string" &&
    typeof raw.name === "string" &&
    isIpv4(raw.vip) &&
    protocols.has(raw.protocol) &&
    isNumber(raw.port, 65535) &&
    schedulers.has(raw.scheduler) &&
    Array.isArray(raw.schedulerFlags) &&
    raw.schedulerFlags.length === 0 &&
    raw.persistence === null &&
    typeof raw.onePacket === "boolean" &&
    encapsulations.has(raw.encapsulation) &&
    snatSources.has(raw.snatSource) &&
    typeof raw.notrack === "boolean" &&
    (raw.allow === undefined || (Array.isArray(raw.allow) && raw.allow.length === 0)) &&
    raw.slowStartSeconds === undefined &&
    (raw.health === undefined || isWholeHealth(raw.health)) &&
    Array.isArray(raw.destinations);
  if (!isPlain) return undefined;
  const plan = raw as unknown as DirectorServiceFragment & { forwarding?: Forwarding };
  const destinations: PlannedDestination[] = [];
  const isEachPlain = plan.destinations.every((destination) => {
    const plain = plainDestination(destination, plan);
    return plain !== undefined && destinations.push(plain);
  });
  return isEachPlain ? { ...plan, destinations } : undefined;
}

/** Texts of health that were found right and whole: a fleet has few, and a plan repeats them in every service. */
const knownHealth = new Set<string>();
const mostKnownHealth = 1_000;

function isWholeHealth(raw: unknown): boolean {
  const text = JSON.stringify(raw);
  if (knownHealth.has(text)) return true;
  const parsed = PlannedHealth.safeParse(raw);
  if (!parsed.success || JSON.stringify(parsed.data) !== text) return false;
  if (knownHealth.size >= mostKnownHealth) knownHealth.clear();
  knownHealth.add(text);
  return true;
}

type Usual = Partial<Pick<PlannedDestination, "port" | "forwarding">>;

function plainDestination(raw: unknown, usual: Usual): PlannedDestination | undefined {
  if (!isRecord(raw) || raw.adminState !== undefined || raw.drain !== undefined) return undefined;
  const { realServerId, rip, port = usual.port, forwarding = usual.forwarding } = raw as Partial<PlannedDestination>;
  const { weight = 1, upperThreshold = 0, lowerThreshold = 0 } = raw as Partial<PlannedDestination>;
  const isPlain =
    typeof realServerId === "string" &&
    isIpv4(rip) &&
    isNumber(port, 65535) &&
    forwardings.has(forwarding) &&
    isNumber(weight, 65535) &&
    isNumber(upperThreshold, Number.MAX_SAFE_INTEGER) &&
    isNumber(lowerThreshold, Number.MAX_SAFE_INTEGER);
  if (!isPlain) return undefined;
  return { realServerId, rip, port, forwarding, weight, upperThreshold, lowerThreshold } as PlannedDestination;
}

const isIpv4 = (value: unknown) => typeof value === "string" && isDottedQuad(value);

const isNumber = (value: unknown, most: number) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
