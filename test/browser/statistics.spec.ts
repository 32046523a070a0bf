import { place, rest, rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { apiToken, expect, test } from "./console.ts";
import { PretendAgent } from "./pretend-agent.ts";

test("throughput is charted by service and fleet, and read by keyboard and in a table", async ({ page, complaints: _ }) => {
  test.setTimeout(240_000);
  const token = await apiToken(page.request);
  const { apiUrl, agentUrl, caFile } = place();
  const appliance = { apiUrl, agentUrl, caFile, token };
  const group = (await rest("POST", "/director-groups", token, { body: { name: "charted" } })).body as { id: string };
  const director = await PretendAgent.enroll(appliance, "director", "lb-charted", "198.19.0.2", group.id);
  const spec = { name: "charted", vip: "198.19.0.100", port: 80, forwarding: "nat", directorGroupId: group.id };
  const made = await rest("POST", "/virtual-services", token, { body: { ...spec, realServers: [{ rip: "198.19.0.21" }] } });
  const serviceId = (made.body as { id: string }).id;
  await director.turn();

  // 40 connections a second for as long as a chart needs to see a few slots.
  const began = Date.now();
  const tick = async () => {
    const connections = Math.round(((Date.now() - began) / 1000) * 40);
    const counters = { connections, inPackets: connections * 6, outPackets: connections * 5, inBytes: connections * 900 };
    await director.count([{ serviceId, counters: { ...counters, outBytes: connections * 9000 }, destinations: [] }]);
  };
  const stored = () =>
    rows<{ connections: string; coveredMs: number }>(
      `SELECT s.connections, d."coveredMs" FROM "statistics" s
       JOIN "statistics" d ON d.series = $2 AND d."stepSeconds" = 10 AND d.at = s.at
       WHERE s.series = $1 AND s."stepSeconds" = 10 AND d."coveredMs" >= 9990`,
      [serviceId, director.nodeId],
    );
  await expect(async () => {
    await tick();
    expect((await stored()).length).toBeGreaterThanOrEqual(3);
  }).toPass({ timeout: 90_000, intervals: [1000] });
  for (const { connections } of await stored()) expect(Math.abs(Number(connections) - 400)).toBeLessThan(25);

  await page.goto(`/services/${serviceId}`);
  const chart = page.getByRole("slider", { name: /New connections per second/ });
  await chart.focus();
  // The newest slot may not be written yet: back to one that is.
  await expect(async () => {
    await tick();
    await page.keyboard.press("ArrowLeft");
    await expect(chart).toHaveAttribute("aria-valuetext", /New connections (39|40|41)$/, { timeout: 500 });
  }).toPass({ timeout: 30_000 });
  await page.keyboard.press("Home");
  await expect(chart).toHaveAttribute("aria-valuetext", /No data/);
  const charts = page.getByRole("figure").filter({ has: chart });
  await charts.getByText("As a table").click();
  await expect(charts.getByRole("cell", { name: /^(39|40|41)$/ }).first()).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole("button", { name: "24 h" }).click();
  await expect(page).toHaveURL(/range=24h/);

  await page.goto("/services?q=charted");
  await expect(page.getByRole("img", { name: /Traffic of charted/ })).toBeVisible();
  await page.goto("/");
  await expect(page.getByRole("slider", { name: /Bits per second/ })).toBeVisible();
  await expect(page.getByText("Recent changes")).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  const storage = (await rest("GET", "/statistics/storage", token)).body as { bytes: number };
  const [size] = await rows<{ size: string }>(`SELECT pg_total_relation_size('"statistics"') AS size`);
  expect(storage.bytes).toBeGreaterThanOrEqual(Number(size!.size));
});
