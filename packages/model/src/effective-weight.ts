import { z } from "zod";

/**
 * What an operator wants of a real server in a service. `draining`: no new connections, held ones go on. `maintenance`: drained, then taken
 * out (whoever knows that it is drained says `disabled` here). `disabled`: not in the table.
 */
export const AdminState = z.enum(["active", "draining", "maintenance", "disabled"]);
export type AdminState = z.infer<typeof AdminState>;

/** Whether a real server in a service is being drained, to be taken out afterwards or not. */
export const isDraining = ({ adminState }: { adminState?: AdminState | undefined }): boolean =>
  adminState === "draining" || adminState === "maintenance";

/**
 * What a drain waits for. `activeConnections`: clients that persistence pins are moved to another real server with their next connection.
 * `honourPersistence`: they go on to this one until their templates run out.
 */
export const DrainMode = z.enum(["activeConnections", "honourPersistence"]);
export type DrainMode = z.infer<typeof DrainMode>;

/** How a real server is drained. `until`: then it is taken out, whoever still holds a connection; null: it waits as long as it takes. */
export const DrainSpec = z.strictObject({
  mode: DrainMode.default("activeConnections"),
  until: z.iso.datetime().nullable().default(null),
});
export type DrainSpec = z.infer<typeof DrainSpec>;

/** What health checks say of an endpoint. `checking`: no verdict yet, which serves: nobody is taken out on no evidence. */
export const HealthVerdict = z.enum(["up", "down", "checking"]);
export type HealthVerdict = z.infer<typeof HealthVerdict>;

/** What becomes of a real server that fails: `inhibit` keeps it at weight 0, so that its held connections go on; `remove` takes it out. */
export const OnFailure = z.enum(["inhibit", "remove"]);
export type OnFailure = z.infer<typeof OnFailure>;

/** The three facts of a real server in a service, and what failure means there. */
export interface WeightFacts {
  adminState: AdminState;
  verdict: HealthVerdict;
  /** As the operator asked for. */
  weight: number;
  onFailure: OnFailure;
}

/** What the kernel shall hold of a real server: the only place where admin state, health and desired weight meet. */
export function effectiveWeight({ adminState, verdict, weight, onFailure }: WeightFacts): { weight: number } | "absent" {
  if (adminState === "disabled") return "absent";
  if (verdict === "down") return onFailure === "remove" ? "absent" : { weight: 0 };
  return { weight: adminState === "active" ? weight : 0 };
}
