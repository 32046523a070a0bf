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
