import { place, rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { expect, test } from "./console.ts";

const inDatabase = () =>
  rows<{ role: string; banned: boolean | null }>(`SELECT role, banned FROM "user" WHERE username = 'vera'`);

test("a user is added, signs in and may only look, is shut out and deleted", async ({ page, browser, complaints: _ }) => {
  const password = "vera's first password";
  await page.goto("/settings");
  await page.getByRole("button", { name: "Add a user" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name" }).fill("vera");
  await dialog.getByLabel("Password").fill(password);
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole("button", { name: "Add a user" }).click();
  const row = page.getByRole("row", { name: /vera/ });
  await expect(row).toBeVisible();
  expect(await inDatabase()).toMatchObject([{ role: "viewer" }]);

  const context = await browser.newContext({ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "en-US" });
  const other = await context.newPage();
  const signIn = async (word = password) => {
    await other.goto("/sign-in");
    await other.locator('input[name="username"]').fill("vera");
    await other.locator('input[name="password"]').fill(word);
    await other.locator('button[type="submit"]').click();
  };
  await signIn();
  await other.waitForURL((url) => url.pathname === "/");
  await other.goto("/settings");
  await expect(other.getByRole("heading", { name: "Settings" })).toBeVisible();
  await expect(other.getByRole("button", { name: "Add a user" })).toHaveCount(0);

  await other.goto("/services");
  await expect(other.getByRole("heading", { name: "Services" })).toBeVisible();
  await expect(other.getByRole("link", { name: "Create a service" })).toHaveCount(0);

  // The reader's own password, then one that an administrator gives.
  await other.goto("/settings");
  await other.getByLabel("Current password").fill("not the password");
  await other.getByLabel("New password").fill("vera's second password");
  await other.getByRole("button", { name: "Change the password" }).click();
  await expect(other.getByRole("alert").filter({ hasText: "not your current password" })).toBeVisible();
  await other.getByLabel("Current password").fill(password);
  await other.getByRole("button", { name: "Change the password" }).click();
  await expect(other.getByText("Your password is changed.")).toBeVisible();
  await row.getByRole("button", { name: "New password for vera" }).click();
  await dialog.getByLabel("New password").fill(password);
  await dialog.getByRole("button", { name: "New password" }).click();
  await expect(dialog).toHaveCount(0);
  await other.waitForURL(/sign-in/); // the session ended, and the page finds out by itself
  await signIn();
  await other.waitForURL((url) => url.pathname !== "/sign-in");

  await page.getByRole("switch", { name: /vera/ }).click();
  await expect.poll(inDatabase).toMatchObject([{ banned: true }]);
  await other.waitForURL(/sign-in/);
  await signIn();
  await expect(other.getByRole("alert").first()).toBeVisible();
  expect(new URL(other.url()).pathname).toBe("/sign-in");
  await context.close();

  await row.getByRole("button", { name: "Delete vera" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
  await expect(row).toHaveCount(0);
  await expect.poll(inDatabase).toEqual([]);
});
