import { DomainError } from "@trigon/model";
import type { FleetRows, StoredFleet, StoredGroup, StoredNode, StoredService, StoredVip } from "./fleet-rows.ts";

/** The configuration in memory. It holds nothing that the database does not, and may be thrown away and read again at any time. */
export class FleetState {
  fleet: StoredFleet | undefined;
  readonly groups = new Map<string, StoredGroup>();
  readonly nodes = new Map<string, StoredNode>();
  readonly vips = new Map<string, StoredVip>();
  readonly services = new Map<string, StoredService>();

  get sequence(): number {
    return this.fleet?.sequence ?? -1;
  }

  get current(): StoredFleet {
    if (!this.fleet) throw new DomainError("service.unavailable", "The fleet was not read yet; try again.");
    return this.fleet;
  }

  /** Takes newer rows in. */
  apply(rows: FleetRows): void {
    this.fleet = rows.fleet;
    for (const group of rows.groups) this.groups.set(group.id, group);
    for (const node of rows.nodes) this.nodes.set(node.id, node);
    for (const vip of rows.vips) this.vips.set(vip.address, vip);
    for (const service of rows.services) this.services.set(service.id, service);
  }

  liveGroups(): StoredGroup[] {
    return [...this.groups.values()].filter((group) => group.deletedAt === null);
  }

  liveServices(): StoredService[] {
    return [...this.services.values()].filter((service) => service.deletedAt === null);
  }

  /** Throws `resource.notFound` for one that never was or is gone. */
  service(id: string): StoredService {
    const service = this.services.get(id);
    if (!service || service.deletedAt) throw new DomainError("resource.notFound", `There is no virtual service ${id}.`);
    return service;
  }

  group(id: string): StoredGroup {
    const group = this.groups.get(id);
    if (!group || group.deletedAt) throw new DomainError("resource.notFound", `There is no director group ${id}.`);
    return group;
  }

  node(id: string): StoredNode {
    const node = this.nodes.get(id);
    if (!node) throw new DomainError("resource.notFound", `There is no node ${id}.`);
    return node;
  }
}
