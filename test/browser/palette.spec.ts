import { firstGroup, rest, rows } from "./appliance.ts";
import { apiToken, expect, test } from "./console.ts";

test("by keyboard alone: who uses an address, what was opened lately, and any action", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const directorGroupId = await firstGroup();
  const body = {
    name: "findme",
    directorGroupId,
    vip: "198.18.7.1",
    port: 8443,
    forwarding: "nat",
    realServers: [{ rip: "198.18.7.21" }],
  };
  const { id } = (await rest("POST", "/virtual-services", token, { body })).body as { id: string };
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  const palette = page.getByRole("dialog", { name: "Search and do" });
  await page.keyboard.press("Control+k");
  await expect(palette.getByRole("combobox")).toBeFocused();
  await page.keyboard.type("who uses 198.18.7.21?");
  const hit = palette.getByRole("group", { name: "Real servers" }).getByRole("option", { name: /findme/ });
  await expect(hit).toContainText("198.18.7.21:8443");
  await expect(hit).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/services/${id}$`));
  await expect(palette).toBeHidden();

  await page.keyboard.press("Control+k");
  await expect(palette.getByRole("group", { name: "Opened lately" }).getByRole("option", { name: /findme/ })).toBeVisible();
  await page.keyboard.type("theme dark");
  await expect(palette.getByRole("option", { name: "Theme: Dark" })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveClass(/dark/);

  await page.keyboard.press("Control+k");
  await page.keyboard.type("no-such-thing-anywhere");
  await expect(palette.getByText("Nothing found for “no-such-thing-anywhere”")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(palette).toBeHidden();

  const [change] = await rows<{ id: string }>(`SELECT id FROM change WHERE "objectId" = $1`, [id]);
  await page.keyboard.press("Control+k");
  await page.keyboard.type(change!.id);
  await expect(palette.getByRole("group", { name: "Changes" }).getByRole("option")).toHaveCount(1);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("main").getByRole("link", { name: "findme" })).toHaveCount(1);
});

test("the palette finds and does the same in Chinese", async ({ page, baseURL, complaints: _ }) => {
  await page.context().addCookies([{ name: "trigon_locale", value: "zh-CN", url: baseURL! }]);
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "总览" })).toBeVisible();
  await page.keyboard.press("Control+k");
  await page.keyboard.insertText("谁在用 198.18.7.21？");
  await expect(page.getByRole("group", { name: "真实服务器" }).getByRole("option")).toContainText("198.18.7.21:8443");
  await page.getByRole("combobox").fill("拓扑");
  await expect(page.getByRole("option", { name: "前往拓扑" })).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/topology$/);
});

test("shortcuts go to pages, filter, create, edit and list themselves, and never fire in a field", async ({
  page,
  complaints: _,
}) => {
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Overview" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("s");
  await expect(page).toHaveURL(/\/services$/);
  await page.keyboard.press("/");
  const filter = page.getByRole("searchbox");
  await expect(filter).toBeFocused();
  await page.keyboard.type("gnce?");
  await expect(filter).toHaveValue("gnce?");
  await expect(page).toHaveURL(/\/services\?q=gnce/);
  await filter.blur();
  await page.keyboard.press("?");
  const list = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await expect(list).toContainText("Go to Topology");
  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(page).toHaveURL(/\/services/);
  await page.keyboard.press("Escape");
  await expect(list).toBeHidden();
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/services\/new$/);
});

test("lists that were set compactly stay so, from the first paint on", async ({ page, complaints: _ }) => {
  await page.goto("/audit");
  const row = page.getByRole("row").nth(1);
  await expect(row).toBeVisible();
  const roomy = (await row.boundingBox())!.height;
  await page.keyboard.press("Control+k");
  await page.keyboard.type("compact");
  await page.keyboard.press("Enter");
  await expect(page.locator("html")).toHaveAttribute("data-density", "compact");
  await expect.poll(async () => (await row.boundingBox())!.height).toBeLessThan(roomy);
  const html = await (await page.request.get("/audit")).text();
  expect(html).toContain('data-density="compact"');
});
