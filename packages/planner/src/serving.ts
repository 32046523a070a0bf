import {
  type DirectorServiceFragment,
  effectiveWeight,
  isDraining,
  type OnFailure,
  type PlannedDestination,
  type ServiceHealth,
  verdictIn,
} from "@trigon/model";

/** Names the sorry server where a real server's id is wanted. */
export const sorryServerId = "sorry";

/** The destinations that a service shall have in the kernel now, with their effective weights. Pure. */
export function servingDestinations(fragment: DirectorServiceFragment, health?: ServiceHealth): readonly PlannedDestination[] {
  // Most services, most of the time: tens of thousands of destinations that are as they are planned.
  if (!health && fragment.destinations.every(({ adminState }) => adminState === undefined || adminState === "active"))
    return fragment.destinations;
  const onFailure = onFailureOf(fragment);
  const serving = fragment.destinations.flatMap((destination): PlannedDestination[] => {
    const { realServerId, weight, adminState = "active" } = destination;
    const verdict = verdictIn(health, realServerId);
    const effective = effectiveWeight({ adminState, verdict, weight, onFailure });
    if (effective === "absent") return [];
    return effective.weight === weight ? [destination] : [{ ...destination, weight: effective.weight }];
  });
  return health?.mode === "sorry" ? [...serving, ...sorryDestinations(fragment)] : serving;
}

/** Every destination that a service may have: what else a director holds for it must not come and go with health. */
export function possibleDestinations(fragment: DirectorServiceFragment): PlannedDestination[] {
  return fragment.health?.sorryServer ? [...fragment.destinations, ...sorryDestinations(fragment)] : fragment.destinations;
}

/**
 * sh and mh refuse the clients of a destination at weight 0 unless they may fall back: while one drains they may, asked or not. The flag
 * leaves every other client where it is.
 */
export function needsFallback({ scheduler, destinations }: DirectorServiceFragment): boolean {
  return (scheduler === "sh" || scheduler === "mh") && destinations.some(isDraining);
}

/** Whether a drain of this service waits for the clients that persistence pins. */
export function honoursPersistence({ persistence, destinations }: DirectorServiceFragment): boolean {
  return (
    persistence !== null &&
    destinations.some((destination) => isDraining(destination) && destination.drain?.mode === "honourPersistence")
  );
}

/** sh and mh refuse the clients of a destination at weight 0 unless they may fall back: there a failed one is taken out. */
function onFailureOf({ health, scheduler, schedulerFlags }: DirectorServiceFragment): OnFailure {
  const isHashed = scheduler === "sh" || scheduler === "mh";
  return isHashed && !schedulerFlags.includes("fallback") ? "remove" : (health?.onFailure ?? "inhibit");
}

function sorryDestinations({ health }: DirectorServiceFragment): PlannedDestination[] {
  const sorry = health?.sorryServer;
  return sorry ? [{ realServerId: sorryServerId, ...sorry, weight: 1, upperThreshold: 0, lowerThreshold: 0 }] : [];
}
