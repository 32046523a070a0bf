import type { Page } from "@playwright/test";

/** A page to look at: where it is, and what to do there first. */
export interface Shot {
  name: string;
  path: string;
  act?: (page: Page) => Promise<void>;
}

/** What a new appliance shows. */
export const emptyShots: readonly Shot[] = [
  { name: "empty-overview", path: "/" },
  { name: "empty-services", path: "/services" },
  { name: "empty-nodes", path: "/nodes" },
  { name: "empty-topology", path: "/topology" },
];

/** Every page, for the objects that this fleet has. `places`: what the console's own menu leads to, so that no page is forgotten. */
export function shotsOf(places: readonly string[], ids: { service?: string; node?: string }): Shot[] {
  const shots: Shot[] = places.map((path) => ({ name: path === "/" ? "overview" : path.slice(1).replaceAll("/", "-"), path }));
  shots.push(
    { name: "services-no-match", path: "/services?q=no-such-service" },
    { name: "service-new", path: "/services/new" },
    { name: "nodes-enroll", path: "/nodes/enroll" },
    { name: "topology-list", path: "/topology?view=list" },
    { name: "palette", path: "/services", act: (page) => page.keyboard.press("Control+k") },
    { name: "shortcuts", path: "/services", act: (page) => page.keyboard.press("?") },
    { name: "not-found", path: "/services/vs_000000000000" },
  );
  if (ids.service) {
    const path = `/services/${ids.service}`;
    shots.push(
      { name: "service", path },
      { name: "service-settings", path: `${path}?tab=settings` },
      { name: "service-history", path: `${path}?tab=history` },
      { name: "service-edit", path: `${path}/edit` },
      { name: "topology-chosen", path: `/topology?at=service:${ids.service}` },
    );
  }
  if (ids.node) shots.push({ name: "node", path: `/nodes/${ids.node}` });
  return shots;
}
