import { execFileSync } from "node:child_process";
import { rest, rows } from "./appliance.ts";
import { apiToken, expect, fillService, test } from "./console.ts";

const counts = async () =>
  (
    await rows(`SELECT (SELECT count(*) FROM "virtualService") AS services, (SELECT sequence FROM fleet) AS sequence,
      (SELECT count(*) FROM change) AS changes`)
  )[0];
const schedulerOf = async (name: string) =>
  (
    await rows<{ scheduler: string; live: boolean }>(
      `SELECT spec->>'scheduler' AS scheduler, "deletedAt" IS NULL AS live FROM "virtualService" WHERE name = $1`,
      [name],
    )
  )[0];

/** A director that enrolled and then said nothing: enough for a plan. Its key is thrown away. */
async function enrollDirector(token: string): Promise<string> {
  const leg = { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1500, up: true, addresses: [{ address: "192.0.2.2", prefix: 24 }] };
  const csr = execFileSync(
    "openssl",
    ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=x"],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const facts = {
    ...{ hostname: "lb-preview", machineId: "m-preview", bootId: "b-1", kernel: "6.1", architecture: "x86_64" },
    ...{ interfaces: [leg], routes: [], resolvers: [], iptables: "nft" },
  };
  const made = await rest("POST", "/enrollment-tokens", token, { body: { role: "director" } });
  const secret = (made.body as { token: string }).token;
  const answer = await rest("POST", "/../../enroll/v1/nodes", token, {
    body: { protocol: 1, token: secret, csr, agentVersion: "1.0.0", facts },
  });
  expect(answer.status).toBe(200);
  return (answer.body as { nodeId: string }).nodeId;
}

test("what a change will do is shown before it is made, and a change is taken back", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const nodeId = await enrollDirector(token);
  const before = await counts();
  await fillService(page, { name: "seen", vip: "192.0.2.70", port: 80, rips: ["192.0.2.71"] });
  await page.getByRole("button", { name: "Preview" }).click();
  const sheet = page.getByRole("dialog", { name: "What this will do" });
  await expect(sheet.getByText("ipvsadm -A -t 192.0.2.70:80 -s wlc")).toBeVisible();
  await expect(sheet.getByText("ip addr add 192.0.2.70/32 dev eth0")).toBeVisible();
  expect(await counts()).toEqual(before);
  await sheet.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "seen" })).toBeVisible();
  expect(await schedulerOf("seen")).toEqual({ scheduler: "wlc", live: true });

  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Scheduler" }).selectOption("rr");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("tab", { name: "History" }).click();
  expect(await schedulerOf("seen")).toMatchObject({ scheduler: "rr" });
  // Only the newest change can be taken back.
  await expect(page.getByRole("button", { name: "Undo" })).toHaveCount(1);
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Undo" }).click();
  await expect(page.getByText("took a change back")).toBeVisible();
  expect(await schedulerOf("seen")).toEqual({ scheduler: "wlc", live: true });

  await page.getByRole("button", { name: "Delete" }).click();
  const question = page.getByRole("alertdialog");
  await question.getByText("What each node will do").click();
  await expect(question.getByText("ipvsadm -D -t 192.0.2.70:80")).toBeVisible();
  await question.getByRole("button", { name: "Cancel" }).click();
  expect(await schedulerOf("seen")).toMatchObject({ live: true });

  // What the node's agent would have reported, put where another replica would have put it.
  const finding = { check: "firewall", subject: "INPUT 192.0.2.70:80/tcp", state: "fail", observed: "dropped by -P INPUT DROP" };
  const words = { wanted: "let through", why: "Clients come in here.", command: "iptables -S INPUT" };
  await rows(
    `INSERT INTO "nodeReport" ("nodeId", "bootId", "runId", runs, pass, epoch, generation, events, doctor, at, "receivedAt")
     VALUES ($1, 'b-1', 'r-1', '{b-1/r-1}', 1, 1, 0, '[]', $2, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')`,
    [nodeId, JSON.stringify({ at: new Date().toISOString(), findings: [{ ...finding, ...words }] })],
  );
  await page.goto(`/nodes/${nodeId}`);
  await expect(page.getByText("Loses traffic")).toBeVisible();
  await expect(page.getByText("dropped by -P INPUT DROP")).toBeVisible();
  await expect(page.getByText("$ iptables -S INPUT")).toBeVisible();
});

test("a guarded edit counts down on every page, until it is kept, undone or taken back by itself", async ({
  page,
  complaints: _,
}) => {
  const token = await apiToken(page.request);
  const body = { name: "guarded", vip: "192.0.2.75", port: 80, forwarding: "nat", realServers: [] };
  const { id } = (await rest("POST", "/virtual-services", token, { body })).body as { id: string };
  const guards = () =>
    rows<{ state: string; reason: string }>(
      `SELECT g.state, g.reason FROM "changeGuard" g JOIN change c ON c.id = g."changeId" WHERE c."objectId" = $1 ORDER BY c.at`,
      [id],
    );
  await page.goto(`/services/${id}/edit`);
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Scheduler" }).selectOption("rr");
  await page.getByRole("combobox", { name: "Guard of this change" }).selectOption("operator");
  await page.getByRole("button", { name: "Save" }).click();
  const banner = page.getByRole("status").filter({ hasText: "The change of guarded is taken back unless you keep it" });
  await expect(banner.getByText(/^\d+ s left$/)).toBeVisible();
  expect(await guards()).toEqual([{ state: "pending", reason: "waiting" }]);
  await page.goto("/nodes");
  await banner.getByRole("button", { name: "Keep" }).click();
  await expect(banner).toBeHidden();
  expect(await guards()).toEqual([{ state: "kept", reason: "pressed" }]);
  expect(await schedulerOf("guarded")).toMatchObject({ scheduler: "rr" });

  const save = (scheduler: string, guard: string) =>
    rest("PATCH", `/virtual-services/${id}?guard=${guard}`, token, { body: { scheduler }, ifMatch: "*" });
  expect((await save("lc", "operator")).status).toBe(200);
  await page.goto("/changes");
  await banner.getByRole("button", { name: "Undo now" }).click();
  await expect(banner).toBeHidden();
  expect((await guards())[1]).toEqual({ state: "undone", reason: "byHand" });
  expect(await schedulerOf("guarded")).toMatchObject({ scheduler: "rr" });

  expect((await save("sed", "operator&guardSeconds=5")).status).toBe(200);
  await expect(page.getByText("nobody pressed Keep in time")).toBeVisible();
  expect(await schedulerOf("guarded")).toMatchObject({ scheduler: "rr" });
});
