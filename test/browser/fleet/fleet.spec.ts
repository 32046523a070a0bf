import { fetchAnswers, Lab, startLoad, until } from "@trigon/lab";
import { place, rest } from "../appliance.ts";
import { apiToken, expect, fillService, test } from "../console.ts";

const vip = "10.2.0.100";
const rips = ["10.2.0.21", "10.2.0.22"];

test.describe.configure({ mode: "serial" });
let lab: Lab;
test.beforeAll(async () => {
  lab = await Lab.attach(place().labState!);
});
test.afterAll(() => lab.detach());

/** Of each real server what `ipvsadm` says: `RIP weight`. */
async function table(): Promise<string[]> {
  const lines = (await lab.host("dir1").sh("ipvsadm -Sn")).split("\n").filter((line) => line.startsWith(`-a -t ${vip}:80 `));
  return lines.map((line) => line.replace(/.* -r ([\d.]+):\d+ .*-w (\d+).*/, "$1 $2")).sort();
}
const becomes = (...expected: string[]) =>
  until(`the table to be ${expected}`, async () => (await table()).join() === expected.join(), { deadlineMs: 30_000 });
const answering = async () => {
  const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 6 });
  return [...new Set(answers.map(({ server }) => server))].sort().join();
};

test("a service made in the form balances packets", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "shop", vip, port: 80, rips });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "shop" })).toBeVisible();
  await expect(page.getByText("In sync").first()).toBeVisible({ timeout: 60_000 });
  await becomes("10.2.0.21 1", "10.2.0.22 1");
  await until("both real servers to answer", async () => (await answering()) === "rs1,rs2", { deadlineMs: 20_000 });
});

test("a fault shows within five seconds, with its reason and what to do, in both languages", async ({
  page,
  browser,
  session,
  complaints: _,
}) => {
  await page.goto("/services");
  await page.getByRole("link", { name: "shop" }).click();
  await expect(page.getByRole("heading", { name: "shop" })).toBeVisible();
  const id = new URL(page.url()).pathname.split("/").at(-1)!;
  const token = await apiToken(page.request);
  const health = { check: { kind: "tcp", intervalMs: 500, fastIntervalMs: 500, timeoutMs: 400 } };
  expect(await rest("PATCH", `/virtual-services/${id}`, token, { body: { health }, ifMatch: "*" })).toMatchObject({
    status: 200,
  });
  await expect(page.getByRole("row", { name: /10\.2\.0\.22/ })).toContainText("Up");
  await expect(page.getByText("In sync").first()).toBeVisible();

  const context = await browser.newContext({
    ...{ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "zh-CN", storageState: session },
  });
  const overview = await context.newPage();
  await overview.goto("/");
  await expect(overview.getByText("均与期望一致")).toBeVisible();

  const rs2 = lab.host("rs2");
  const pid = (await rs2.sh("pgrep -f httpd.py")).split("\n")[0]!;
  const command = (await rs2.readFile(`/proc/${pid}/cmdline`)).toString().split("\0").filter(Boolean);
  await rs2.sh(`kill -9 ${pid}`);
  const killed = performance.now();
  const within = { timeout: 5_000 };
  await Promise.all([
    expect(page.getByText("The connection was refused")).toBeVisible(within),
    expect(page.getByText("Nothing listens there: start the server's program")).toBeVisible(within),
    expect(overview.getByText("2 台真实服务器中有 1 台未通过检查：10.2.0.22")).toBeVisible(within),
  ]);
  console.log(`seen ${Math.round(performance.now() - killed)} ms after the fault`);
  await becomes("10.2.0.21 1", "10.2.0.22 0");
  await overview.getByRole("link", { name: "shop" }).click();
  await expect(overview.getByText("该处没有程序监听")).toBeVisible();
  await context.close();

  await rs2.detach(command, { log: "/run/httpd-again.log" });
  await expect(page.getByRole("row", { name: /10\.2\.0\.22/ })).toContainText("Up");
  await becomes("10.2.0.21 1", "10.2.0.22 1");
});

test("who is connected shows as the kernel has it, and is filtered", async ({ page, complaints: _ }) => {
  /** Clients of connections that stand, as `10.1.0.10:40000`. */
  const standing = async () => {
    const lines = (await lab.host("dir1").sh("ipvsadm -Lnc")).split("\n");
    return lines.flatMap((line) => /^TCP .* ESTABLISHED +(\S+) +10\.2\.0\.100:80 /.exec(line)?.[1] ?? []);
  };
  await page.goto("/services");
  await page.getByRole("link", { name: "shop" }).click();
  await page.getByRole("tab", { name: "Connections" }).click();
  const load = await startLoad(lab.host("client"), { targets: [`${vip}:80`], rate: 1, held: 6 });
  try {
    await until("the held connections to stand", async () => (await standing()).length >= 6, { deadlineMs: 20_000 });
    await page.getByRole("combobox", { name: "State" }).selectOption("ESTABLISHED");
    await until(
      "the page to show what stands",
      async () => {
        const before = new Set(await standing());
        const shown = await page.getByRole("rowheader").allTextContents();
        const after = await standing();
        const held = after.filter((client) => before.has(client));
        return held.length >= 6 && held.every((client) => shown.includes(client));
      },
      { deadlineMs: 20_000 },
    );
    await page.getByRole("combobox", { name: "Real server" }).selectOption(rips[1]!);
    await expect(page.getByRole("row").filter({ hasText: rips[0]! })).toHaveCount(0);
    await expect(page.getByRole("row").filter({ hasText: rips[1]! })).not.toHaveCount(0);
    await page.getByRole("searchbox", { name: "Client" }).fill("203.0.113.0/24");
    await expect(page.getByText("No entry matches")).toBeVisible();
    await page.getByRole("searchbox", { name: "Client" }).fill("nobody");
    await expect(page.getByRole("alert").filter({ hasText: "neither an address nor a network" })).toBeVisible();
  } finally {
    expect(await load.stop()).toMatchObject({ failed: 0, heldFailed: 0 });
  }
});

test("a drain tells its progress, and is undone from the history", async ({ page, complaints: _ }) => {
  await page.goto("/services");
  await page.getByRole("link", { name: "shop" }).click();
  const load = await startLoad(lab.host("client"), { targets: [`${vip}:80`], rate: 2, held: 6 });
  try {
    const row = page.getByRole("row", { name: /10\.2\.0\.22/ });
    await page.getByRole("button", { name: "What to do with 10.2.0.22:80" }).click();
    await page.getByRole("menuitem", { name: "Drain", exact: true }).click();
    await expect(row).toContainText(/Draining/);
    await expect(row).toContainText(/\d+ left/);
    await becomes("10.2.0.21 1", "10.2.0.22 0");
  } finally {
    expect(await load.stop()).toMatchObject({ failed: 0, heldFailed: 0 });
  }
  await page.goto("/changes");
  await page.getByRole("button", { name: "Undo" }).first().click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Undo" }).click();
  await becomes("10.2.0.21 1", "10.2.0.22 1");
});

test("a machine that runs the line comes alive in its row", async ({ page, complaints: _ }) => {
  await page.goto("/nodes/enroll");
  await page.getByRole("radio", { name: /Real server/ }).check();
  await page.getByRole("textbox", { name: "Name" }).fill("rs3");
  await page.getByRole("button", { name: "Make the line" }).click();
  const line = await page.getByTitle("The line to run").textContent();
  const row = page.getByRole("row", { name: /rs3/ });
  await expect(row).toBeVisible();
  // Lab hosts are root and have no sudo.
  await lab.host("rs3").sh(line!.replace("sudo sh", "sh"), { timeoutMs: 120_000 });
  await expect(row).toContainText("In sync", { timeout: 30_000 });
  await page.goto("/nodes");
  await expect(page.getByRole("row", { name: /rs3/ })).toContainText("Connected");
});
