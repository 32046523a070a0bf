import { type APIRequestContext, test as base, expect, type Page } from "@playwright/test";
import { place } from "./appliance.ts";

/** Signs in through the form. */
export async function signIn(page: Page): Promise<void> {
  const { admin } = place();
  await page.goto("/sign-in");
  await page.locator('input[name="username"]').fill(admin.username);
  await page.locator('input[name="password"]').fill(admin.password);
  await page.locator('button[type="submit"]').click();
  await page.waitForURL((url) => url.pathname === "/");
}

type State = Awaited<ReturnType<ReturnType<Page["context"]>["storageState"]>>;

/** A page of the console, signed in once for each worker; whatever the page complains about fails the test. */
export const test = base.extend<{ complaints: string[] }, { session: State }>({
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from the pattern which fixtures this one needs
  baseURL: async ({}, use) => use(place().consoleUrl),
  session: [
    async ({ browser }, use) => {
      const context = await browser.newContext({ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "en-US" });
      await signIn(await context.newPage());
      await use(await context.storageState());
      await context.close();
    },
    { scope: "worker" },
  ],
  storageState: async ({ session }, use) => use(session),
  complaints: async ({ page }, use) => {
    const complaints: string[] = [];
    page.on("pageerror", (error) => complaints.push(error.message));
    page.on("console", (message) => {
      // A refused request is logged by the browser itself; what the page makes of it is what a test looks at.
      if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(message.text());
    });
    await use(complaints);
    expect(complaints).toEqual([]);
  },
});

export { expect };

/** Fills the form of a new service as far as every test needs it. */
export async function fillService(
  page: Page,
  spec: { name: string; vip: string; port: number; forwarding?: string; rips: string[] },
) {
  await page.goto("/services/new");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill(spec.name);
  await page.getByRole("textbox", { name: "VIP" }).fill(spec.vip);
  await page.getByRole("textbox", { name: "Port" }).first().fill(String(spec.port));
  if (spec.forwarding) await page.getByRole("radio", { name: spec.forwarding, exact: true }).check();
  for (const [index, rip] of spec.rips.entries()) {
    if (index > 0) await page.getByRole("button", { name: "Add a real server" }).click();
    await page.getByRole("combobox", { name: "RIP" }).nth(index).fill(rip);
  }
  // Leaves the last field as a person does: what is checked on leaving it must not move the button away under the pointer.
  await page.keyboard.press("Tab");
}

/** An API token for the other party of a test, made by the signed-in session. */
export async function apiToken(request: APIRequestContext): Promise<string> {
  const answer = await request.post("/api/trpc/apiToken.create", {
    data: { spec: { name: "other party", scopes: ["admin"], expiresInDays: 1 } },
    headers: { origin: place().consoleUrl },
  });
  return ((await answer.json()) as { result: { data: { token: string } } }).result.data.token;
}
