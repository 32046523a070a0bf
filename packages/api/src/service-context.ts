import type { Database } from "@trigon/db";
import type { Asks } from "./asks.ts";
import type { CounterStore } from "./counters.ts";
import type { FleetStore } from "./fleet-store.ts";
import type { Live } from "./live.ts";
import type { Statistics } from "./statistics.ts";
import type { ViewSources } from "./views.ts";

/** What use cases are made with. */
export interface ServiceContext {
  db: Database;
  asks: Asks;
  store: FleetStore;
  live: Live;
  sources: ViewSources;
  counters: CounterStore;
  statistics: Statistics;
  now: () => number;
  /** Addresses at which people and agents reach the controllers: no VIP may be one of them. */
  controllerAddresses: () => readonly string[];
}
