import type { Page } from "@playwright/test";
import { place, rest, rows } from "./appliance.ts";
import { apiToken, expect, test } from "./console.ts";
import { PretendAgent } from "./pretend-agent.ts";

interface Fleet {
  token: string;
  director: PretendAgent;
  server: PretendAgent;
  groupId: string;
  ids: { direct: string; through: string };
}

/** A director and a real server that say they hold what they should, and one service of DR and one of NAT between them. */
async function fleetOf(page: Page): Promise<Fleet> {
  const token = await apiToken(page.request);
  const { apiUrl, agentUrl, caFile } = place();
  const appliance = { apiUrl, agentUrl, caFile, token };
  // A group of its own: the other tests' director says nothing, and would keep the VIPs.
  const made = await rest("POST", "/director-groups", token, { body: { name: "topology" } });
  const { id: directorGroupId } = made.body as { id: string };
  const director = await PretendAgent.enroll(appliance, "director", "lb-topology", "198.18.0.2", directorGroupId);
  const server = await PretendAgent.enroll(appliance, "realServer", "rs-topology", "198.18.0.21");
  const make = async (body: object) => {
    const answer = await rest("POST", "/virtual-services", token, { body: { ...body, directorGroupId } });
    expect(answer.status).toBe(201);
    return (answer.body as { id: string }).id;
  };
  const ids = {
    direct: await make({
      ...{ name: "top-direct", vip: "198.18.0.100", port: 80, forwarding: "dr" },
      realServers: [{ rip: "198.18.0.21" }, { rip: "198.18.0.22" }],
    }),
    through: await make({
      name: "top-nat",
      vip: "198.18.0.101",
      port: 80,
      forwarding: "nat",
      realServers: [{ rip: "198.18.0.21" }],
    }),
  };
  return { token, director, server, groupId: directorGroupId, ids };
}

let fleet: Fleet | undefined;
test.beforeEach(async ({ page }) => {
  fleet ??= await fleetOf(page);
});

const node = (page: Page, name: string | RegExp) =>
  page.getByRole("group", { name: /Picture of the fleet/ }).getByRole("button", { name });

test("the picture follows the fleet by itself: admitted, failed with its reason, and put right", async ({
  page,
  complaints: _,
}) => {
  const { director, server } = fleet!;
  await page.goto("/topology?q=top-");
  await expect(node(page, /rs-topology.*198\.18\.0\.21/)).toBeVisible();
  const both = async (more: Parameters<PretendAgent["turn"]>[0] = {}) => {
    await server.turn(more);
    await director.turn();
  };
  await expect(async () => {
    await both();
    await expect(node(page, /rs-topology.*In service$/)).toBeVisible({ timeout: 3_000 });
  }).toPass({ timeout: 30_000 });
  await both({ failed: "no such device" });
  await expect(page.getByText("top-direct: rs-topology: no such device")).toBeVisible({ timeout: 5_000 });
  // NAT asks nothing of the real server: that way still works.
  await expect(node(page, /rs-topology.*Partly in service$/)).toBeVisible();
  await both();
  await expect(page.getByText("top-direct: rs-topology: no such device")).toBeHidden({ timeout: 5_000 });
});

test("DR replies pass the director by and NAT replies do not; widths follow the traffic", async ({ page, complaints: _ }) => {
  const { director, server, ids } = fleet!;
  const realServers = await rows<{ id: string; serviceId: string; rip: string }>(
    `SELECT id, "serviceId", rip FROM "realServer" WHERE "serviceId" = ANY ($1)`,
    [[ids.direct, ids.through]],
  );
  let sent = 0;
  /** One turn of agents whose counters grew by so many bytes a connection. */
  async function count() {
    sent += 100_000;
    const counters = (bytes: number) => ({
      connections: sent / 1_000,
      inPackets: sent,
      outPackets: sent,
      inBytes: bytes,
      outBytes: bytes,
    });
    const destinations = (serviceId: string) =>
      realServers
        .filter((one) => one.serviceId === serviceId)
        .map(({ id, rip }) => ({
          ...{ realServerId: id, active: 1, inactive: 0, persistent: 0, weight: 1 },
          counters: counters(rip === "198.18.0.21" ? sent * 50 : sent),
        }));
    const services = [ids.direct, ids.through].map((serviceId) => ({
      ...{ serviceId, counters: counters(sent * 50), destinations: destinations(serviceId) },
    }));
    await director.count(services);
    await server.count([], [{ serviceId: ids.direct, packets: sent, bytes: sent * 90 }]);
  }
  await page.goto(`/topology?service=${ids.direct}`);
  await expect(async () => {
    await count();
    await expect(page.getByText(/past the director · [\d.]+ [kMG]bit\/s/)).toBeVisible({ timeout: 2_500 });
  }).toPass({ timeout: 30_000 });
  await page.goto(`/topology?service=${ids.through}`);
  await expect(node(page, /top-nat/)).toBeVisible();
  await expect(page.getByText("past the director")).toHaveCount(0);
});

test("the keyboard alone walks the picture, opens the details and comes back", async ({ page, complaints: _ }) => {
  await page.goto("/topology?q=top-");
  await expect(node(page, /top-nat/)).toBeVisible();
  await node(page, /^Clients/).focus();
  await page.keyboard.press("ArrowRight");
  await expect(node(page, /^top-/).first()).toBeFocused();
  await page.keyboard.press("End");
  await expect(node(page, /^top-direct/)).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await expect(node(page, /^lb-topology/)).toBeFocused();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Home");
  await expect(page.locator(":focus")).toHaveAttribute("data-node", /^server:/);
  const chosen = await page.locator(":focus").getAttribute("data-node");
  await page.keyboard.press("Enter");
  const details = page.getByRole("complementary", { name: "Details" });
  await expect(details).toBeVisible();
  await expect(page).toHaveURL(/at=server/);
  await details.getByRole("button", { name: "Close the details" }).focus();
  await page.keyboard.press("Escape");
  await expect(details).toBeHidden();
  await expect(page.locator(`[data-node="${chosen}"]`)).toBeFocused();
  await page.getByRole("button", { name: "List" }).press("Enter");
  await expect(page.getByRole("row", { name: /top-nat.*rs-topology/ })).toContainText("through the director");
});

test("a phone gets the list, and a fleet of 200 real servers stays one picture", async ({ page, complaints: _ }) => {
  const { token } = fleet!;
  for (const [at, forwarding] of ["dr", "nat", "tun", "fullnat"].entries()) {
    const realServers = Array.from({ length: 50 }, (_, index) => ({ rip: `198.18.${at + 1}.${index + 1}` }));
    const body = {
      name: `big-${at}`,
      directorGroupId: fleet!.groupId,
      vip: `198.18.255.${at + 1}`,
      port: 80,
      forwarding,
      realServers,
    };
    expect(await rest("POST", "/virtual-services", token, { body })).toMatchObject({ status: 201 });
  }
  await page.goto("/topology?q=big-");
  const pools = node(page, /50 real servers/);
  await expect(pools).toHaveCount(4);
  const box = await page
    .getByRole("group", { name: /Picture of the fleet/ })
    .locator("..")
    .boundingBox();
  expect(box!.height).toBeLessThan(900);
  await pools.first().click();
  await page.getByRole("button", { name: "Show one by one" }).click();
  await expect(node(page, /^198\.18\.\d+\.\d+/)).toHaveCount(50);
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.getByRole("table")).toBeVisible();
  await expect(page.getByRole("group", { name: /Picture of the fleet/ })).toBeHidden();
});

test("maintenance of a node begins from the palette", async ({ page, complaints: _ }) => {
  await page.goto("/");
  await page.keyboard.press("Control+k");
  await page.keyboard.type("maintenance rs-topology");
  await expect(page.getByRole("option", { name: /^Maintenance of rs-topology/ })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect
    .poll(async () => rows(`SELECT DISTINCT "adminState" FROM "realServer" WHERE rip = '198.18.0.21'`))
    .toEqual([{ adminState: "maintenance" }]);
});
