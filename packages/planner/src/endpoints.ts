import type { Endpoint, Fleet, FleetRealServer, FleetService } from "./fleet.ts";
import { canonicalJson } from "./hash.ts";

/** What a real server shall be at a director, with every default filled in. */
export function endpointOf({ spec }: FleetService, realServer: FleetRealServer, fleet: Fleet): Endpoint {
  const forwarding = realServer.forwarding ?? spec.forwarding;
  return {
    vip: spec.vip,
    protocol: spec.protocol,
    port: spec.port,
    rip: realServer.rip,
    ripPort: realServer.port ?? spec.port,
    forwarding,
    encapsulation: forwarding === "tun" ? spec.encapsulation : null,
    nodeId: realServer.nodeId ?? fleet.realServerAt(realServer.rip)?.id ?? null,
  };
}

/** Whether the real server must hold the VIP (and its tunnel) before a packet may reach it. */
export function holdsVip({ forwarding }: Endpoint): boolean {
  return forwarding === "dr" || forwarding === "tun";
}

/** Whether admission waits for the real server's own word. */
export function needsWord(endpoint: Endpoint): boolean {
  return endpoint.nodeId !== null && holdsVip(endpoint);
}

/** Equal fingerprints: the director may go on as it is. Weights and thresholds never enter. */
export function fingerprint(endpoint: Endpoint): string {
  return canonicalJson(endpoint);
}

export function sameEndpoint(a: Endpoint | null, b: Endpoint | null): boolean {
  return a === b || (a !== null && b !== null && fingerprint(a) === fingerprint(b));
}
