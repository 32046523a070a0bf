import { differences, fetchAnswers, type Snapshot, snapshot, until, useRealFrames } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { createDemoServices } from "../../infra/demo/world.ts";
import { useWorld } from "./use-world.ts";

/** The fallback devices of IPv6 tunnels get a random permanent address at each boot. */
function withoutRandom(state: Snapshot): Snapshot {
  const links = Object.entries(state.links).map(([name, link]) => [name, { ...(link as object), permaddr: undefined }]);
  return { ...state, links: Object.fromEntries(links) };
}

/** This file runs last of all (see vitest.config.ts): it takes the agent off nodes that the others need. */
describe("trigon-agent uninstall on an enrolled node that carries services", { timeout: 300_000 }, () => {
  const world = useWorld();
  const files = "/opt/trigon /etc/trigon /var/lib/trigon /etc/systemd/system/trigon-agent.service /usr/local/bin/trigon-agent";

  beforeAll(async () => {
    await createDemoServices(world.api);
    expect(await fetchAnswers(world.lab.host("client"), "10.2.0.101:80", { count: 2 })).toHaveLength(2);
  }, 600_000);

  test.each(["rs4", "dir1"])("%s is then as a machine that booted and never had Trigon", async (name) => {
    const host = world.lab.host(name);
    expect(await host.sh("ip -j addr")).toMatch(/"10\.2\.0\.101"/);
    await host.sh("trigon-agent uninstall");
    expect(await host.sh(`ls -d ${files}`, { allowFailure: true })).toBe("");
    expect(await host.sh("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", { allowFailure: true })).not.toContain("/opt/trigon");
    await useRealFrames(world.lab);
    const left = await snapshot(host);
    await world.lab.rebuildHost(name);
    await useRealFrames(world.lab);
    let found: string[] = [];
    await until(
      `${name} to have booted`,
      async () => {
        found = differences(withoutRandom(await snapshot(host)), withoutRandom(left));
        return found.length === 0;
      },
      { deadlineMs: 90_000, everyMs: 500 },
    ).catch(() => undefined);
    expect(found).toEqual([]);
  });
});
