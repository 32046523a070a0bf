import { existsSync, readFileSync } from "node:fs";
import { canonicalAddress, inNetwork, type Resource } from "@trigon/model";
import { parse } from "yaml";
import { z } from "zod";

const Network = z.string().transform((text, ctx) => {
  const [address = "", prefixText] = text.split("/");
  const network = canonicalAddress(address);
  const longest = network?.includes(":") ? 128 : 32;
  const prefix = prefixText === undefined ? longest : Number(prefixText);
  if (network === undefined || !Number.isInteger(prefix) || prefix < 0 || prefix > longest) {
    ctx.addIssue({ code: "custom", message: `"${text}" is not a network such as 192.0.2.0/24` });
    return z.NEVER;
  }
  return { network, prefix };
});

/**
 * What this machine's owner lets the control plane do here. `vips` and `interfaces` null: any. `maxRemovalShare` is the largest share of a
 * node's services (of more than 3) that one plan may remove without an operator's mark. `remoteUpgrade` false: the program is brought to another
 * version by hand only.
 */
export const Policy = z.strictObject({
  vips: z.array(Network).nullable().default(null),
  interfaces: z.array(z.string().min(1).max(15)).nullable().default(null),
  maxRemovalShare: z.number().min(0).max(1).default(0.5),
  remoteUpgrade: z.boolean().default(true),
  scripts: z.literal(false).default(false),
});
export type Policy = z.infer<typeof Policy>;

export const defaultPolicy: Policy = Policy.parse({});

export class PolicyUnreadable extends Error {
  override name = "PolicyUnreadable";
}

/** No file: anything goes. A file that cannot be understood: `PolicyUnreadable`, and the caller changes nothing. */
export function readPolicy(path: string): Policy {
  if (!existsSync(path)) return defaultPolicy;
  try {
    return Policy.parse(parse(readFileSync(path, "utf8")) ?? {});
  } catch (cause) {
    const detail = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
    throw new PolicyUnreadable(`${path}: ${detail}`, { cause });
  }
}

/** Why the policy forbids these resources, or undefined when it does not. Tunnel addresses are the agent's own and no VIPs. */
export function policyRefusal(policy: Policy, vip: string, resources: readonly Resource[]): string | undefined {
  if (policy.vips && !policy.vips.some(({ network, prefix }) => inNetwork(vip, network, prefix)))
    return `The VIP ${vip} is in none of the networks that this node's policy accepts`;
  const { interfaces } = policy;
  if (!interfaces) return undefined;
  for (const resource of resources)
    if (resource.kind === "address" && resource.purpose === "vipOnDirector" && !interfaces.includes(resource.interface))
      return `The interface ${resource.interface} for the VIP ${vip} is none that this node's policy accepts`;
  return undefined;
}
