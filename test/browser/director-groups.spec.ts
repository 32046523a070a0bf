import { place, rest, rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { apiToken, expect, test } from "./console.ts";
import { PretendAgent } from "./pretend-agent.ts";

type Role = "master" | "backup";

test("a director of one group is a member of another, too", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const { apiUrl, agentUrl, caFile } = place();
  const home = await rest("POST", "/director-groups", token, { body: { name: "home" } });
  const homeId = (home.body as { id: string }).id;
  const guest = await PretendAgent.enroll({ apiUrl, agentUrl, caFile, token }, "director", "guest-1", "203.0.113.2", homeId);
  await guest.turn();
  await page.goto("/settings");
  await page.getByRole("button", { name: "Add a group" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a group" });
  await dialog.getByRole("textbox", { name: "Name" }).fill("home");
  await dialog.getByRole("button", { name: "Add a group" }).click();
  await expect(dialog.getByRole("textbox", { name: "Name" })).toHaveAccessibleDescription(/is taken already/);
  await dialog.getByRole("textbox", { name: "Name" }).fill("second");
  await dialog.getByRole("button", { name: "Add a group" }).click();
  await expect(page.getByRole("heading", { name: "second", level: 1 })).toBeVisible();
  await page.getByRole("combobox", { name: "Mode" }).selectOption("vrrp");
  await page.getByRole("switch", { name: /Every director of this group/ }).click();
  await page.getByRole("textbox", { name: /guest-1/ }).fill("150");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Change the mode" }).click();
  await expect(page.getByRole("link", { name: "guest-1", exact: true })).toBeVisible();
  const stored = await rows<{ vrrp: { members: object[] } }>(`SELECT vrrp FROM "directorGroup" WHERE name = 'second'`);
  expect(stored[0]?.vrrp.members).toEqual([{ nodeId: guest.nodeId, priority: 150 }]);
});

test("two directors become a pair, the VIPs are moved, and the drill is kept", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const { apiUrl, agentUrl, caFile } = place();
  const appliance = { apiUrl, agentUrl, caFile, token };
  const made = await rest("POST", "/director-groups", token, { body: { name: "pair" } });
  const groupId = (made.body as { id: string }).id;
  const first = await PretendAgent.enroll(appliance, "director", "pair-1", "198.51.100.2", groupId);
  const second = await PretendAgent.enroll(appliance, "director", "pair-2", "198.51.100.3", groupId);
  const service = { name: "paired", vip: "198.51.100.10", port: 80, forwarding: "nat", directorGroupId: groupId };
  await rest("POST", "/virtual-services", token, { body: service });

  const told = new Map<PretendAgent, { role: Role; at: string }[]>();
  const say = async (agent: PretendAgent, role: Role, more: object = {}) => {
    const before = told.get(agent) ?? [];
    const transitions = before.at(-1)?.role === role ? before : [...before, { role, at: new Date().toISOString() }];
    told.set(agent, transitions);
    const syncDaemons = (["master", "backup"] as const).map((state) => ({ state, interface: "eth0", syncId: 1 }));
    const report = { groupId, role, since: transitions.at(-1)!.at, transitions, syncDaemons, isReady: true };
    await agent.turn({ groups: [{ ...report, preferredGeneration: null, findings: [], ...more }] });
  };
  const card = (name: string) => page.locator("section").filter({ has: page.getByRole("link", { name, exact: true }) });
  await first.turn();
  await second.turn();

  await page.goto("/settings");
  await page.getByRole("link", { name: "pair", exact: true }).click();
  await expect(page.getByRole("heading", { name: "pair", level: 1 })).toBeVisible();
  await expect(card("pair-1").getByText("Holds the VIPs")).toBeVisible();

  // A wrong interval is said at its box; then the mode changes, after one question.
  await page.getByRole("combobox", { name: "Mode" }).selectOption("vrrp");
  const advert = page.getByRole("textbox", { name: "Advertisement interval (ms)" });
  await advert.fill("5");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(advert).toHaveAccessibleDescription(/At least 10/);
  await advert.fill("100");
  const stored = () =>
    rows<{ mode: string; joined: string[] }>(`SELECT mode, joined FROM "directorGroup" WHERE id = $1`, [groupId]);
  await page.getByRole("button", { name: "Preview" }).click();
  const sheet = page.getByRole("dialog", { name: "What this will do" });
  await expect(sheet.getByText(/Take part in VRRP \d+: whoever is master holds 198\.51\.100\.10/)).toHaveCount(2);
  expect(await stored()).toEqual([{ mode: "single", joined: [] }]);
  await page.screenshot({ path: test.info().outputPath("group-preview.png") });
  await sheet.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Change the mode" }).click();
  await expect(page.getByText("Forming the pair")).toBeVisible();
  expect(await stored()).toEqual([{ mode: "vrrp", joined: [first.nodeId] }]);

  await say(first, "master");
  await expect.poll(async () => (await stored())[0]?.joined).toEqual([first.nodeId, second.nodeId]);
  await say(second, "backup");
  await expect(card("pair-1").getByText("Master: holds the VIPs")).toBeVisible();
  await expect(card("pair-2").getByText("Backup: stands by")).toBeVisible();
  await expect(card("pair-1").getByText("198.51.100.10")).toBeVisible();

  await page.getByRole("button", { name: "Takeover drill" }).click();
  const question = page.getByRole("alertdialog");
  await expect(question).toContainText("from pair-1 to pair-2 and back again");
  await question.getByRole("button", { name: "Takeover drill" }).click();
  await expect(page.getByRole("cell", { name: "Moving" })).toBeVisible();
  await say(first, "backup");
  await say(second, "master");
  await expect(page.getByRole("cell", { name: "Coming back" })).toBeVisible();
  await say(second, "backup");
  await say(first, "master");
  await expect(page.getByRole("cell", { name: "Done" })).toBeVisible();
  const [drill] = await rows<{ state: string; gapMs: number; backGapMs: number }>(
    `SELECT state, "gapMs", "backGapMs" FROM "groupMove" WHERE "directorGroupId" = $1`,
    [groupId],
  );
  expect(drill?.state).toBe("done");
  await expect(page.getByRole("cell", { name: `${drill!.gapMs} ms`, exact: true }).first()).toBeVisible();

  // A standby that is not ready: no button, and the reason in words; a finding of a member stands on its card.
  await say(second, "backup", { isReady: false, findings: [{ code: "sync.late", message: "It joined a minute ago." }] });
  await expect(page.getByText("pair-2 does not hold all services of its plan yet.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Move the VIPs" })).toBeDisabled();
  await expect(card("pair-2").getByText("It joined a minute ago.")).toBeVisible();
  await say(second, "backup", {
    findings: [{ code: "member.rival", message: "-", meta: { vip: "198.51.100.10", macs: "02:00:00:00:00:09" } }],
  });
  await expect(card("pair-2").getByText("198.51.100.10 is held by 02:00:00:00:00:09, too.")).toBeVisible();

  // An address that moves with the VIPs; what is none is said at its box.
  const floating = page.getByRole("textbox", { name: "Floating addresses" });
  await floating.fill("198.51.100.10");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(floating).toHaveAccessibleDescription(/is the VIP of “paired”/);
  await floating.fill("198.51.100.254, 198.51.100.253");
  await page.getByRole("button", { name: "Save" }).click();
  const addresses = () => rows(`SELECT "floatingAddresses" FROM "directorGroup" WHERE id = $1`, [groupId]);
  await expect.poll(addresses).toEqual([{ floatingAddresses: ["198.51.100.254", "198.51.100.253"] }]);

  // The standby is upgraded from its own page: first in vain, with what its installer said, then for good.
  await say(second, "backup");
  await page.goto(`/nodes/${second.nodeId}`);
  let installer: object = { state: "failed", exitCode: 31, output: "agent.tgz is not the file" };
  const startedAt = new Date().toISOString();
  const asked = second.listen(({ id }) => ({ id, startedAt, exitCode: null, output: "", ...installer }));
  const upgrade = async () => {
    await page.getByRole("button", { name: "Upgrade" }).click();
    await page.getByRole("alertdialog").getByRole("button", { name: "Upgrade" }).click();
  };
  try {
    const history = page.getByRole("list", { name: "Upgrades" }).getByRole("listitem");
    await upgrade();
    await expect(history.first()).toContainText("The installer failed, and the former program goes on.");
    await expect(history.first()).toContainText("agent.tgz is not the file");
    installer = { state: "running" };
    await upgrade();
    await expect(history.first()).toContainText("Installing");
    installer = { state: "done", exitCode: 0 };
    await say(second, "backup");
    await expect(history.first()).toContainText("Upgraded");
    await expect(history).toHaveCount(2);
    await page.screenshot({ path: test.info().outputPath("upgrades.png"), fullPage: true });
  } finally {
    asked.close();
  }
  expect(await rows(`SELECT state FROM "nodeUpgrade" WHERE "nodeId" = $1 ORDER BY "startedAt"`, [second.nodeId])).toEqual([
    { state: "failed" },
    { state: "done" },
  ]);

  for (const { locale, colorScheme, width } of [
    { locale: "en", colorScheme: "light", width: 1280 },
    { locale: "zh-CN", colorScheme: "dark", width: 390 },
    { locale: "zh-CN", colorScheme: "light", width: 1280 },
    { locale: "en", colorScheme: "dark", width: 390 },
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.context().addCookies([{ name: "trigon_locale", value: locale, url: place().consoleUrl }]);
    await page.goto(`/groups/${groupId}`);
    await expect(card("pair-2")).toBeVisible();
    await page.locator("summary").last().click();
    const overhang = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect({ locale, overhang, barriers: await barriers(page) }).toEqual({ locale, overhang: 0, barriers: [] });
    await page.screenshot({ path: test.info().outputPath(`group-${locale}-${colorScheme}-${width}.png`), fullPage: true });
  }
});
