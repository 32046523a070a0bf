import type { Page } from "@playwright/test";
import { rest, rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { apiToken, expect, test } from "./console.ts";

/** One service for the pages that need one. */
async function anyService(page: Page): Promise<string> {
  const [first] = await rows<{ id: string }>(`SELECT id FROM "virtualService" WHERE "deletedAt" IS NULL LIMIT 1`);
  if (first) return first.id;
  const spec = { name: "sample", vip: "192.0.2.90", port: 80, forwarding: "dr", realServers: [{ rip: "192.0.2.91" }] };
  const made = await rest("POST", "/virtual-services", await apiToken(page.request), { body: spec });
  return (made.body as { id: string }).id;
}

const readers = [
  { name: "English, light, wide", locale: "en", colorScheme: "light", width: 1280 },
  { name: "English, dark, narrow", locale: "en", colorScheme: "dark", width: 390 },
  { name: "Chinese, light, narrow", locale: "zh-CN", colorScheme: "light", width: 390 },
  { name: "Chinese, dark, wide", locale: "zh-CN", colorScheme: "dark", width: 1280 },
] as const;

for (const reader of readers) {
  test(`every page is accessible, fits its width and complains of nothing: ${reader.name}`, async ({
    page,
    baseURL,
    complaints: _,
  }) => {
    test.setTimeout(300_000);
    await page.setViewportSize({ width: reader.width, height: 844 });
    await page.emulateMedia({ colorScheme: reader.colorScheme });
    await page.context().addCookies([{ name: "trigon_locale", value: reader.locale, url: baseURL! }]);
    const id = await anyService(page);
    const [group] = await rows<{ id: string }>(`SELECT id FROM "directorGroup" WHERE "deletedAt" IS NULL LIMIT 1`);
    const paths = [
      "/",
      "/services",
      "/services?q=no-such-thing",
      "/services/new",
      `/services/${id}`,
      `/services/${id}?tab=connections`,
      `/services/${id}?tab=settings`,
    ];
    paths.push(`/services/${id}?tab=history`, `/services/${id}/edit`, "/services/vs_000000000000", "/nodes", "/nodes/enroll");
    paths.push(
      "/topology",
      "/topology?view=list",
      "/topology?q=no-such-thing",
      "/changes",
      "/events",
      "/events?topic=health",
      "/audit",
      "/settings",
      "/help",
      `/groups/${group!.id}`,
      "/no/such/page",
    );
    for (const path of paths) {
      await page.goto(path);
      await expect(page.locator("html")).toHaveAttribute("lang", reader.locale);
      await expect(page.locator("main")).toBeVisible();
      // Loading placeholders are gone: what is checked is the page itself.
      await expect(page.locator("main .animate-pulse")).toHaveCount(0);
      const overhang = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect({ path, overhang, barriers: await barriers(page) }).toEqual({ path, overhang: 0, barriers: [] });
    }
  });
}

test("the keyboard alone opens a service, and the skip link leads to the content", async ({ page, complaints: _ }) => {
  await anyService(page);
  await page.goto("/services");
  await expect(page.getByRole("rowheader").first()).toBeVisible();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("main")).toBeFocused();
  const link = page.getByRole("rowheader").first().getByRole("link");
  for (let presses = 0; presses < 24 && !(await link.evaluate((node) => node === document.activeElement)); presses++)
    await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/services\/vs_/);
});

test("a controller out of reach is said, and everything comes back by itself", async ({ page }) => {
  await page.goto("/services");
  await expect(page.getByRole("heading", { name: "Services" })).toBeVisible();
  await page.route("**/api/trpc/**", (route) => route.abort());
  await expect(page.getByText("The controller cannot be reached. Trying again")).toBeVisible();
  await page.unroute("**/api/trpc/**");
  await expect(page.getByText("The controller cannot be reached. Trying again")).toBeHidden();
});
