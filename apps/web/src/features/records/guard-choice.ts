import type { GuardKind, VirtualServiceSpec } from "@trigon/model";

/** What a form asks for: `auto` guards what may cut a node off. */
export type GuardChoice = "auto" | "none" | GuardKind;

/** What of a service decides where it is bound and how its packets go. */
const risky = ["vip", "forwarding", "encapsulation", "snatSource", "directorGroupId", "enabled"] as const;

/** The guard of a save. A new service (no `before`) binds an address, and so may cut a node off as an edit of the VIP may. Pure. */
export function guardOf(
  choice: GuardChoice,
  before: Partial<Pick<VirtualServiceSpec, (typeof risky)[number]>> | undefined,
  after: VirtualServiceSpec,
): GuardKind | undefined {
  if (choice === "none") return undefined;
  if (choice !== "auto") return choice;
  return !before || risky.some((field) => before[field] !== after[field]) ? "reachability" : undefined;
}
