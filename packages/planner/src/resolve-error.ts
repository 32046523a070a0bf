/** A fragment that this node cannot carry out, whatever its kernel says. `reason` is a closed code for the fragment's state. */
export class ResolveError extends Error {
  readonly reason: "vip.noInterface" | "vrrp.noAddress" | "tunnel.familyUnsupported";

  constructor(reason: ResolveError["reason"], message: string) {
    super(message);
    this.name = "ResolveError";
    this.reason = reason;
  }
}
