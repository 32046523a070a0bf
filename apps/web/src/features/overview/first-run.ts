/** The steps from an empty appliance to balanced packets, in their order. */
export const firstSteps = ["director", "realServers", "service", "traffic"] as const;
export type FirstStep = (typeof firstSteps)[number];

export interface FirstRunFacts {
  nodes: readonly { role: "director" | "realServer"; isConnected: boolean }[];
  services: { total: number; inSync: number };
  /** Connections that services took since their counters began. */
  connections: number;
}

/** What is done already, from live data alone. A service that is in sync stands on both kinds of nodes or needs no more of them. Pure. */
export function doneSteps({ nodes, services, connections }: FirstRunFacts): ReadonlySet<FirstStep> {
  const has = (role: "director" | "realServer") => nodes.some((node) => node.role === role && node.isConnected);
  const works = services.inSync > 0;
  const done: Record<FirstStep, boolean> = {
    director: has("director") || works,
    realServers: has("realServer") || works,
    service: services.total > 0,
    traffic: connections > 0,
  };
  return new Set(firstSteps.filter((step) => done[step]));
}
