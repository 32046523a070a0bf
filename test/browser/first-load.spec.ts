import type { Page } from "@playwright/test";
import { expect, test } from "./console.ts";

/** The console's limit, of all scripts of a first page together as they come over the wire. */
const mostKb = 250;
/** What the first page of each may take: a little above what it does, so that a careless import is noticed. */
const pages = [
  { path: "/", kb: 235 },
  { path: "/services", kb: 240 },
] as const;

/** Opens a page with nothing cached, and answers the bytes of script bodies that Chromium received for it, and how each was coded. */
async function received(page: Page, path: string): Promise<{ kb: number; codings: Set<string> }> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const scripts = new Map<string, number>();
  const codings = new Set<string>();
  session.on("Network.responseReceived", ({ requestId, type, response }) => {
    if (type !== "Script") return;
    scripts.set(requestId, 0);
    codings.add(Object.entries(response.headers).find(([name]) => name.toLowerCase() === "content-encoding")?.[1] ?? "none");
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    if (scripts.has(requestId)) scripts.set(requestId, encodedDataLength);
  });
  await page.goto(path);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect.poll(() => scripts.size > 5 && [...scripts.values()].every((bytes) => bytes > 0)).toBe(true);
  return { kb: [...scripts.values()].reduce((sum, bytes) => sum + bytes, 0) / 1024, codings };
}

for (const { path, kb } of pages) {
  test(`scripts that ${path} is opened with are few, and come as Brotli`, async ({ page, complaints: _ }) => {
    const first = await received(page, path);
    console.log(`${path}: ${first.kb.toFixed(1)} kB`);
    expect([...first.codings]).toEqual(["br"]);
    expect(first.kb).toBeLessThan(Math.min(kb, mostKb));
  });
}

test("a menu opens at the first press, by pointer and by keyboard", async ({ page, complaints: _ }) => {
  await page.goto("/");
  const theme = page.getByRole("button", { name: /^Theme/ });
  await theme.click();
  await expect(page.getByRole("menuitemradio", { name: "Dark" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("menu")).toBeHidden();
  await expect(theme).toBeFocused();

  const language = page.getByRole("button", { name: /^Language/ });
  await language.focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("menuitemradio").first()).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(language).toBeFocused();
});
