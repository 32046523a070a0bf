import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { expect, test } from "./console.ts";

test("a target is added, tried, fails with its reason, is mended and deleted", async ({ page, complaints: _ }) => {
  let status = 503;
  const received: { body: string; signature: unknown; timestamp: unknown }[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      received.push({ body, signature: request.headers["x-trigon-signature"], timestamp: request.headers["x-trigon-timestamp"] });
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const secret = "browser secret";

  await page.goto("/settings");
  await page.getByRole("button", { name: "Add a target" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name" }).fill("on call");
  await dialog.getByRole("textbox", { name: "URL" }).fill("ftp://example.com/");
  await dialog.getByLabel("Secret (optional)").fill(secret);
  await dialog.getByRole("button", { name: "Add a target" }).click();
  await expect(dialog.getByText("An http or https URL without a user and password is wanted here.")).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole("textbox", { name: "URL" }).fill(url);
  await dialog.getByRole("checkbox", { name: "Changes" }).check();
  await dialog.getByRole("button", { name: "Add a target" }).click();
  const row = page.getByRole("row", { name: /on call/ });
  await expect(row).toBeVisible();
  const stored = await rows<{ url: string; topics: string[]; secret: Buffer }>(
    `SELECT url, topics, secret FROM "notificationTarget" WHERE name = 'on call'`,
  );
  expect(stored).toMatchObject([{ url, topics: expect.arrayContaining(["changes", "nodes"]) }]);
  expect(stored[0]!.secret.includes(secret)).toBe(false);

  await row.getByRole("button", { name: "Send a test to on call" }).click();
  await expect(row.getByText("The receiver answered 503; 200 to 299 is wanted.")).toBeVisible();
  expect(await barriers(page)).toEqual([]);
  const [first] = received;
  expect(first!.signature).toBe(
    `v1=${createHmac("sha256", secret)
      .update(`${String(first!.timestamp)}.${first!.body}`)
      .digest("hex")}`,
  );
  expect(JSON.parse(first!.body).events).toMatchObject([{ kind: "notification.test" }]);

  status = 200;
  await row.getByRole("button", { name: "Send a test to on call" }).click();
  await expect(row.getByText("Delivered", { exact: true })).toBeVisible();

  await row.getByRole("button", { name: "Edit on call" }).click();
  await expect(dialog.getByLabel("Secret (optional)")).toHaveValue("");
  await dialog.getByRole("textbox", { name: "URL" }).fill("http://nowhere.invalid/");
  await dialog.getByRole("checkbox", { name: /Remove the secret/ }).check();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toHaveCount(0);
  await row.getByRole("button", { name: "Send a test to on call" }).click();
  await expect(row.getByText("The name in the URL cannot be resolved.")).toBeVisible();
  expect(await rows(`SELECT 1 FROM "notificationTarget" WHERE secret IS NULL AND name = 'on call'`)).toHaveLength(1);

  await row.getByRole("button", { name: "Delete on call" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Delete" }).click();
  await expect(row).toHaveCount(0);
  expect(await rows(`SELECT 1 FROM "notificationTarget"`)).toEqual([]);
  server.close();
});
