import { execFileSync } from "node:child_process";
import { rest, rows } from "./appliance.ts";
import { expect, test } from "./console.ts";

test("the line to copy works with the pin in it, and the row says that the script was fetched", async ({
  page,
  complaints: _,
}) => {
  await page.goto("/nodes/enroll");
  await page.getByRole("radio", { name: /Real server/ }).check();
  await page.getByRole("textbox", { name: "Name" }).fill("rs-new");
  await page.getByRole("button", { name: "Make the line" }).click();
  const line = await page.getByTitle("The line to run").textContent();
  expect(line).toMatch(
    /^curl -fsSk --proto '=https' --pinnedpubkey 'sha256\/\/[\w+/=]+' 'https:\/\/\S+\/enroll\/install\.sh\S*' \| sudo sh -s -- --token trg1\./,
  );
  await expect(page.getByText("Waiting for the machine").first()).toBeVisible();

  // The first half of the line, as a shell runs it: fetch the script, believing nothing but the pin.
  const script = execFileSync("sh", ["-c", line!.slice(0, line!.indexOf("|"))], { encoding: "utf8" });
  expect(script).toContain("#!/bin/sh");

  const [token] = await rows<{ id: string; usedAt: Date | null }>(
    `SELECT id, "usedAt" FROM "enrollmentToken" WHERE name = 'rs-new'`,
  );
  expect(token?.usedAt).toBeNull();
  await expect(page.getByRole("row", { name: /rs-new/ })).toContainText("Script fetched");
  await page.getByRole("tab", { name: "wget" }).click();
  await expect(page.getByTitle("The line to run")).toContainText("wget");
  await page.getByRole("tab", { name: "Ansible" }).click();
  // The same line as a task's command, without sudo.
  await expect(page.getByTitle("The line to run")).toContainText(`cmd: |\n      ${line!.replace("sudo sh", "sh")}`);

  await page
    .getByRole("row", { name: /rs-new/ })
    .getByRole("button", { name: "Revoke" })
    .click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByRole("row", { name: /rs-new/ })).toContainText("Revoked");
  const [revoked] = await rows<{ revokedAt: Date | null }>(`SELECT "revokedAt" FROM "enrollmentToken" WHERE id = $1`, [
    token!.id,
  ]);
  expect(revoked?.revokedAt).not.toBeNull();
});

test("an API token is shown once, opens the API until it is revoked, and is stored only as a hash", async ({
  page,
  complaints: _,
}) => {
  await page.goto("/settings");
  await page.getByRole("button", { name: "Create a token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Create a token" }).click();
  await expect(dialog.getByRole("textbox", { name: "Name" })).toHaveAccessibleDescription("Fill this in.");
  await dialog.getByRole("textbox", { name: "Name" }).fill("terraform");
  await dialog.getByRole("button", { name: "Create a token" }).click();
  const token = (await dialog.getByTitle("The token").textContent())!;
  expect(token).toMatch(/^trg_pat_/);
  expect((await rest("GET", "/virtual-services", token)).status).toBe(200);
  expect((await rest("POST", "/virtual-services", token, { body: {} })).status).toBe(403);
  expect(JSON.stringify(await rows(`SELECT * FROM "apiToken"`))).not.toContain(token);

  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(page.getByText(token)).toBeHidden();
  await page.getByRole("button", { name: "Revoke terraform" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke" }).click();
  await expect(page.getByRole("button", { name: "Revoke terraform" })).toBeHidden();
  // While the dialog is open the button behind it counts as hidden: the answer may still be on its way.
  await expect.poll(async () => (await rest("GET", "/virtual-services", token)).status).toBe(401);
});
