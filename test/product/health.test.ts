import { fetchAnswers, until } from "@trigon/lab";
import type { OverviewView, VirtualServiceView } from "@trigon/model";
import { beforeAll, describe, expect, test } from "vitest";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable, sql } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

const vip = "10.2.0.100";
const names = ["rs1", "rs2", "rs3"] as const;
const ripOf = (name: string) => `10.2.0.2${name.slice(2)}`;

describe("health from the REST API to the kernel and back", () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  let service: VirtualServiceView;

  beforeAll(async () => {
    const check = { kind: "http", intervalMs: 500, fastIntervalMs: 500, timeoutMs: 400, statuses: "200" } as const;
    const realServers = names.map((name) => ({ rip: ripOf(name) }));
    service = await createService(world.api, {
      name: "checked",
      vip,
      port: 80,
      forwarding: "dr",
      scheduler: "rr",
      realServers,
      health: { check },
    });
  });

  const weights = async () => {
    const lines = (await ipvsTable(host("dir1"))).split("\n").filter((line) => line.startsWith(`-a -t ${vip}:80 `));
    return lines.map((line) => line.replace(/.* -r ([\d.]+):\d+ -g -w (\d+).*/, "$1=$2")).join(" ");
  };
  const becomes = (expected: string) =>
    until(`the weights to be ${expected}`, async () => (await weights()) === expected, { deadlineMs: 60_000 });
  const all = (weight: number, ...gone: string[]) =>
    names.map((name) => `${ripOf(name)}=${gone.includes(name) ? 0 : weight}`).join(" ");
  const view = () => world.api.call<VirtualServiceView>("GET", `/virtual-services/${service.id}`);
  const shows = (what: string, isSo: (view: VirtualServiceView) => boolean) =>
    until(what, async () => isSo(await view()), { deadlineMs: 60_000, everyMs: 200 });
  const block = (name: string, rule = "DROP") =>
    host(name).sh(`iptables-legacy -I INPUT -d ${ripOf(name)} -p tcp --dport 80 -j ${rule}`);
  const unblock = (name: string) =>
    host(name).sh(`while iptables-legacy -D INPUT -d ${ripOf(name)} -p tcp --dport 80 -j DROP; do :; done`, {
      allowFailure: true,
    });

  test("a real server that fails gets weight 0, and API and database say which, why and since when", async () => {
    await becomes(all(1));
    await shows(
      "everybody to be up",
      ({ status }) => status.health?.realServers.every(({ verdict }) => verdict === "up") === true,
    );
    const pid = (await host("rs2").sh("pgrep -f httpd.py")).split("\n")[0]!;
    const command = (await host("rs2").readFile(`/proc/${pid}/cmdline`)).toString().split("\0").filter(Boolean);
    const killedAt = Date.now();
    await host("rs2").sh(`kill -9 ${pid}`);
    await becomes(all(1, "rs2"));
    await shows("rs2 to be down", ({ status }) => status.health?.realServers.some(({ verdict }) => verdict === "down") === true);
    const { realServers, status } = await view();
    const id = realServers.find(({ rip }) => rip === ripOf("rs2"))!.id;
    const down = status.health!.realServers.find(({ realServerId }) => realServerId === id)!;
    expect(down).toMatchObject({ verdict: "down", isOut: true, reason: "refused" });
    expect(Math.abs(Date.parse(down.since) - killedAt)).toBeLessThan(30_000);
    expect(status.health!.mode).toBe("normal");
    const rows = await sql<{ verdicts: string }>(
      world.databaseUrl,
      `SELECT string_agg(one->>'verdict', ',' ORDER BY one->>'verdict') AS verdicts
       FROM "nodeFragment", jsonb_array_elements(health->'realServers') AS one WHERE "fragmentId" = $1`,
      [`ds:${service.id}`],
    );
    expect(rows).toEqual([{ verdicts: "down,up,up" }]);
    const answers = await fetchAnswers(host("client"), `${vip}:80`, { count: 6 });
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs1", "rs3"]);
    await host("rs2").detach(command, { log: "/run/httpd-again.log" });
    await becomes(all(1));
    await shows("rs2 to be up", (now) => now.status.health?.realServers.every(({ verdict }) => verdict === "up") === true);
  });

  test("when all fail, all serve, and service and overview say so loudly", async () => {
    await Promise.all(names.map((name) => block(name)));
    try {
      await shows("fail-open", ({ status }) => status.health?.mode === "failOpen");
      await becomes(all(1));
      const { problems } = await world.api.call<OverviewView>("GET", "/overview");
      expect(problems.filter(({ kind }) => kind === "health.failOpen").map(({ objectName }) => objectName)).toEqual(["checked"]);
    } finally {
      await Promise.all(names.map(unblock));
    }
    await shows("an end to it", ({ status }) => status.health?.mode === "normal");
    await becomes(all(1));
  });
});
