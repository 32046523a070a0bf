import type { SyncState } from "@trigon/model";
import type { StoredService } from "../fleet-rows.ts";
import type { ServiceContext } from "../service-context.ts";
import type { RowOrder } from "../shapes.ts";
import { syncOf } from "../views.ts";

type Key = string | number;

const worstFirst: readonly SyncState[] = ["failed", "conflict", "waiting", "unknown", "applying", "inSync", "disabled"];

/** What a table of services is ordered by. Figures of all of them are read only when the order asks for it. */
export async function rowKey({ sources, counters }: ServiceContext, order: RowOrder): Promise<(service: StoredService) => Key> {
  switch (order) {
    case "name":
      return ({ spec }) => spec.name;
    case "address":
      return ({ spec }) => `${spec.vip.includes(":") ? "6" : "4"} ${padded(spec.vip)} ${padded(String(spec.port))}`;
    case "forwarding":
      return ({ spec }) => spec.forwarding;
    case "admitted":
      return ({ gates, spec }) =>
        new Set(gates.flatMap((gate) => (gate.admitted ? [gate.realServerId] : []))).size / Math.max(1, spec.realServers.length);
    case "state":
      return (service) => worstFirst.indexOf(syncOf(sources, service).state);
    case "connections": {
      await counters.look();
      const rates = counters.connectionRates();
      return ({ id }) => rates.get(id) ?? -1;
    }
  }
}

/** Numbers in texts in their own order: 10.0.0.9 before 10.0.0.10. */
const padded = (text: string) => text.replace(/\d+/g, (digits) => digits.padStart(5, "0"));

export const compareKeys = (a: Key, b: Key): number => (a < b ? -1 : a > b ? 1 : 0);

export const byName = (a: StoredService, b: StoredService): number =>
  compareKeys(a.spec.name, b.spec.name) || compareKeys(a.id, b.id);
