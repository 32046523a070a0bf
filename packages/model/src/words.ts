/** Values of closed vocabularies. In a file of its own: pages of the console list them, and need no schema. */
export const forwardings = ["dr", "tun", "nat", "fullnat"] as const;

export const syncStates = ["inSync", "applying", "waiting", "failed", "conflict", "unknown", "disabled"] as const;
