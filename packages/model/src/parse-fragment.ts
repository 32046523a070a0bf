import type { z } from "zod";
import { isDottedQuad } from "./address.ts";
import { PlannedHealth } from "./health.ts";
import { type DirectorServiceFragment, Fragment, type PlannedDestination } from "./plan.ts";
import { Encapsulation, Forwarding, Protocol, Scheduler, SnatSource } from "./vocabulary.ts";

/**
 * `Fragment.safeParse`, but that a plain IPv4 director's fragment is recognised by a handful of comparisons: a director's first plan holds
 * tens of thousands of values, and its traffic waits for them. Such a fragment is answered as it came, members nobody knows included;
 * everything else, and every error, is the schema's.
 */
export function parseFragment(raw: unknown): z.ZodSafeParseResult<Fragment> {
  return isPlainDirectorService(raw) ? { success: true, data: raw } : Fragment.safeParse(raw);
}

const schedulers: ReadonlySet<unknown> = new Set(Scheduler.options);
const forwardings: ReadonlySet<unknown> = new Set(Forwarding.options);
const protocols: ReadonlySet<unknown> = new Set(Protocol.options);
const encapsulations: ReadonlySet<unknown> = new Set(Encapsulation.options);
const snatSources: ReadonlySet<unknown> = new Set(SnatSource.options);

/** Says no where it is not sure: the schema then decides. */
function isPlainDirectorService(raw: unknown): raw is DirectorServiceFragment {
  if (typeof raw !== "object" || raw === null) return false;
  const fragment = raw as Record<keyof DirectorServiceFragment, unknown>;
  return (
    fragment.kind === "director.service" &&
    typeof fragment.id === "string" &&
    typeof fragment.hash === "string" &&
    isNumber(fragment.generation, Number.MAX_SAFE_INTEGER) &&
    typeof fragment.serviceId === "string" &&
    typeof fragment.name === "string" &&
    isIpv4(fragment.vip) &&
    protocols.has(fragment.protocol) &&
    isNumber(fragment.port, 65535) &&
    schedulers.has(fragment.scheduler) &&
    Array.isArray(fragment.schedulerFlags) &&
    fragment.schedulerFlags.length === 0 &&
    fragment.persistence === null &&
    typeof fragment.onePacket === "boolean" &&
    encapsulations.has(fragment.encapsulation) &&
    snatSources.has(fragment.snatSource) &&
    typeof fragment.notrack === "boolean" &&
    (fragment.allow === undefined || (Array.isArray(fragment.allow) && fragment.allow.length === 0)) &&
    (fragment.health === undefined || isWholeHealth(fragment.health)) &&
    Array.isArray(fragment.destinations) &&
    fragment.destinations.every(isPlainDestination)
  );
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

function isPlainDestination(raw: unknown): boolean {
  if (typeof raw !== "object" || raw === null) return false;
  const destination = raw as Record<keyof PlannedDestination, unknown>;
  return (
    typeof destination.realServerId === "string" &&
    isIpv4(destination.rip) &&
    isNumber(destination.port, 65535) &&
    forwardings.has(destination.forwarding) &&
    isNumber(destination.weight, 65535) &&
    isNumber(destination.upperThreshold, Number.MAX_SAFE_INTEGER) &&
    isNumber(destination.lowerThreshold, Number.MAX_SAFE_INTEGER) &&
    destination.adminState === undefined &&
    destination.drain === undefined
  );
}

const isIpv4 = (value: unknown) => typeof value === "string" && isDottedQuad(value);

const isNumber = (value: unknown, most: number) =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
