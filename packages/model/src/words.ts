/** Values of closed vocabularies. In a file of its own: pages of the console list them, and need no schema. */
export const forwardings = ["dr", "tun", "nat", "fullnat"] as const;

/** What a takeover does to connections differs by kind; the console's help has a row for each, and the lab a test of that name. */
export const takeoverKinds = ["tcp", "fullNat", "persistence", "udp", "onePacket", "late"] as const;

export const syncStates = ["inSync", "applying", "waiting", "failed", "conflict", "unknown", "disabled"] as const;
