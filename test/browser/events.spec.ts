import { firstGroup, rest, rows } from "./appliance.ts";
import { apiToken, expect, test } from "./console.ts";

test("what happened is listed, chosen by topic, and leads to what it is about", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const spec = { name: "eventful", vip: "198.51.100.60", port: 80, forwarding: "nat", directorGroupId: await firstGroup() };
  const made = (await rest("POST", "/virtual-services", token, { body: spec })).body as { id: string };
  await page.goto("/events");
  const row = page.getByRole("row").filter({ hasText: "eventful" });
  await expect(row).toContainText("Service created");
  const [event] = await rows<{ actor: string }>(`SELECT actor FROM "auditEvent" WHERE "objectId" = $1`, [made.id]);
  await expect(row).toContainText(event!.actor);

  await page.getByRole("combobox", { name: "Topic" }).selectOption("Users, API tokens and notifications");
  await expect(page).toHaveURL(/topic=access/);
  await expect(row).toHaveCount(0);
  await expect(page.getByRole("row").filter({ hasText: "API token" }).first()).toBeVisible();
  await page.goto(`/events?object=${made.id}`);
  await expect(page.getByRole("rowheader")).toHaveCount(1);
  await rest("DELETE", `/virtual-services/${made.id}`, token, { ifMatch: "*" });
  await expect(page.getByRole("rowheader")).toHaveCount(2); // by itself
  await page.getByRole("button", { name: "Only of eventful: show all" }).click();
  await row.last().getByRole("link", { name: "eventful" }).click();
  await expect(page).toHaveURL(new RegExp(made.id));
});
