import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { agentProtocol, PlanEnvelope } from "@trigon/model";
import { z } from "zod";
import type { PlanPosition } from "../state/plan-cache.ts";

/** A plan by hand: fragments only. Hashes and generations are made up when they are not there. */
const BarePlan = z.object({
  fragments: z.array(
    z.looseObject({ id: z.string(), kind: z.string(), hash: z.string().optional(), generation: z.int().optional() }),
  ),
});

/**
 * The plan in a file: either a whole envelope as the controller sends it, or just `{"fragments": […]}`, which then is all that this node shall
 * hold. Throws with the field's name for anything else.
 */
export function readPlanFile(path: string, position: PlanPosition | null): PlanEnvelope {
  const json: unknown = JSON.parse(readFileSync(path, "utf8"));
  if (typeof json === "object" && json !== null && "fleetId" in json) return parsed(PlanEnvelope, json);
  const { fragments } = parsed(BarePlan, json);
  const generation = (position?.generation ?? 0) + 1;
  return {
    protocol: agentProtocol,
    fleetId: position?.fleetId ?? "local",
    epoch: position?.epoch ?? 1,
    generation,
    nodeId: position?.nodeId ?? "local",
    since: null,
    observeOnly: false,
    // Whoever writes the whole plan by hand on the machine itself means what it says.
    allowMassRemoval: true,
    fragments: fragments.map((fragment) => ({
      ...fragment,
      generation: fragment.generation ?? generation,
      hash: fragment.hash ?? createHash("sha256").update(JSON.stringify(fragment)).digest("hex").slice(0, 16),
    })),
    tombstones: [],
  };
}

function parsed<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (!result.success) throw new Error(z.prettifyError(result.error));
  return result.data;
}
