import { PlanGuard } from "./guard.ts";
import { PlanEnvelope } from "./plan.ts";

/**
 * `PlanEnvelope.parse`, but that an envelope with nothing wrong is recognised by a handful of comparisons and answered as it came: a first plan
 * has thousands of fragments, which the schema would copy one by one. Every error is the schema's. Throws ZodError.
 */
export function parsePlanEnvelope(body: unknown): PlanEnvelope {
  return isPlainEnvelope(body) ? body : PlanEnvelope.parse(body);
}

/** Says no where it is not sure: the schema then decides. */
function isPlainEnvelope(body: unknown): body is PlanEnvelope {
  if (typeof body !== "object" || body === null) return false;
  const envelope = body as Record<keyof PlanEnvelope, unknown>;
  return (
    Number.isSafeInteger(envelope.protocol) &&
    typeof envelope.fleetId === "string" &&
    isNumber(envelope.epoch, 1) &&
    isNumber(envelope.generation, 0) &&
    typeof envelope.nodeId === "string" &&
    (envelope.since === null || isNumber(envelope.since, 0)) &&
    typeof envelope.observeOnly === "boolean" &&
    typeof envelope.allowMassRemoval === "boolean" &&
    Array.isArray(envelope.fragments) &&
    envelope.fragments.every(isOutline) &&
    (envelope.guard === undefined || PlanGuard.safeParse(envelope.guard).success) &&
    (envelope.insists === undefined || typeof envelope.insists === "boolean") &&
    (envelope.released === undefined || PlanEnvelope.shape.released.safeParse(envelope.released).success) &&
    Array.isArray(envelope.tombstones) &&
    envelope.tombstones.every((id) => typeof id === "string")
  );
}

const isNumber = (value: unknown, least: number) => Number.isSafeInteger(value) && (value as number) >= least;

/** As `RawFragment` has it. */
function isOutline(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { id, hash, kind, generation } = value as Record<string, unknown>;
  return typeof id === "string" && typeof hash === "string" && typeof kind === "string" && Number.isSafeInteger(generation);
}
