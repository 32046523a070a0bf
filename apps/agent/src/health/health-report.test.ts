import { type AgentReport, type HealthReport, reportLimits } from "@trigon/model";
import { afterEach, expect, test } from "vitest";
import { Reporter, type ReporterOptions } from "../link/reporter.ts";
import { silentLog } from "../log.ts";
import { eventually } from "../testing/eventually.ts";

/** The members of a loop that a reporter reads: a node with a large plan and no news. */
const loop = {
  facts: { hostname: "lb-1" },
  hold: null,
  passes: 1,
  reached: null,
  states: new Map(),
  tableVersion: 1,
  desired: { size: 100_000, resources: () => [] },
  seen: new Map(),
  foreign: [],
  takeChanged: () => new Set<string>(),
  takeEvents: () => [],
} as unknown as ReporterOptions["loop"];

const realServers = 1_000;
const serviceOf = (fragmentId: string): HealthReport => ({
  fragmentId,
  mode: "normal",
  realServers: Array.from({ length: realServers }, (_, at) => ({
    realServerId: `rs_${at}`,
    verdict: "up",
    isOut: false,
    reason: null,
    message: null,
    latencyMs: 1,
    since: "2026-01-01T00:00:00.000Z",
  })),
});

let reporter: Reporter | undefined;
afterEach(() => reporter?.stop());

test("a large fleet's health is told in several reports, each of them small, and none of it is lost", async () => {
  const ids = Array.from({ length: 20 }, (_, at) => `ds:${at}`);
  const news = new Set<string>();
  const sent: AgentReport[] = [];
  let failures = 1;
  reporter = new Reporter({
    loop,
    health: {
      ids: () => ids[Symbol.iterator](),
      report: (wanted) => [...wanted].map(serviceOf),
      takeNews: () => {
        const taken = new Set(news);
        news.clear();
        return taken;
      },
    },
    link: {
      report: async (report) => {
        if (sent.length === 1 && failures-- > 0) throw new Error("the controller is away");
        sent.push(report);
        return { accepted: true, wantFull: false };
      },
    },
    run: { agentVersion: "1", bootId: "boot", runId: "run" },
    fleetId: "fleet_1",
    log: silentLog,
    gapMs: 1,
    heartbeatMs: 60_000,
  });
  const told = () => new Set(sent.flatMap(({ health }) => health?.map(({ fragmentId }) => fragmentId) ?? []));
  reporter.changed();
  await eventually(() => told().size === ids.length);
  expect(sent[0]!.full).toBe(true);
  for (const { health } of sent) expect(health!.length * realServers).toBeLessThanOrEqual(reportLimits.healthRealServers);
  expect(sent).toHaveLength((ids.length * realServers) / reportLimits.healthRealServers);
  // Afterwards only what changed.
  sent.length = 0;
  failures = 0;
  news.add("ds:7");
  reporter.changed();
  await eventually(() => sent.length === 1);
  expect([...told()]).toEqual(["ds:7"]);
});
