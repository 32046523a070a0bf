import { place } from "./appliance.ts";
import { expect, signIn, test } from "./console.ts";

test.describe("without a session", () => {
  test.use({ storageState: { cookies: [], origins: [] } });

  test("a stranger sees only the sign-in page, and comes back to where they wanted to be", async ({ page, complaints: _ }) => {
    await page.goto("/services?q=web");
    await expect(page).toHaveURL(/\/sign-in\?next=/);
    await page.getByLabel("User name").fill(place().admin.username);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByRole("alert").filter({ hasText: "wrong" })).toBeVisible();
    await page.getByLabel("Password").fill(place().admin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL(/\/services\?q=web$/);
    await expect(page.getByRole("heading", { name: "Services" })).toBeVisible();
  });

  test("a session that the controller does not know leads back to the sign-in page", async ({ page, context, baseURL }) => {
    await context.addCookies([
      { name: "__Secure-better-auth.session_token", value: "forged.signature", url: baseURL!, secure: true },
    ]);
    await page.goto("/nodes");
    await expect(page).toHaveURL(/\/sign-in\?next=%2Fnodes/);
  });

  test("before its scripts run the form cannot be sent, and never puts a password into an address", async ({ browser }) => {
    const context = await browser.newContext({ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto("/sign-in");
    await expect(page.locator('button[type="submit"]')).toBeDisabled();
    await page.locator('input[name="password"]').fill("secret");
    await page.locator("form").evaluate((form: HTMLFormElement) => form.submit());
    await page.waitForLoadState();
    expect(page.url()).not.toContain("secret");
    await context.close();
  });

  test("the browser's language is taken, and a chosen one is kept", async ({ browser, baseURL, complaints: _ }) => {
    const context = await browser.newContext({ baseURL, ignoreHTTPSErrors: true, locale: "zh-CN" });
    const page = await context.newPage();
    await page.goto("/sign-in");
    await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
    await expect(page.getByRole("button", { name: "登录" })).toBeVisible();
    await page.getByRole("button", { name: "语言" }).click();
    await page.getByRole("menuitemradio", { name: "English" }).click();
    await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
    await page.reload();
    await expect(page.locator("html")).toHaveAttribute("lang", "en");
    await context.close();
  });

  test("the dark theme is there before the first paint", async ({ page, complaints: _ }) => {
    await page.emulateMedia({ colorScheme: "dark" });
    // Without any script of the page but the inline one, the theme must already stand.
    await page.route("**/_next/static/**/*.js", (route) => route.abort());
    await page.goto("/sign-in", { waitUntil: "domcontentloaded" });
    await expect(page.locator("html")).toHaveClass(/dark/);
  });
});

test("signing out ends the session for good", async ({ browser, baseURL }) => {
  const context = await browser.newContext({ baseURL, ignoreHTTPSErrors: true, locale: "en-US" });
  const page = await context.newPage();
  await signIn(page);
  const cookies = await context.cookies();
  await page.getByRole("button", { name: `Signed in as ${place().admin.username}` }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await context.addCookies(cookies); // a stolen copy of the old cookie
  await page.goto("/services");
  await expect(page).toHaveURL(/\/sign-in/);
  await context.close();
});
