import { firstGroup, rest, rows } from "./appliance.ts";
import { barriers } from "./barriers.ts";
import { apiToken, expect, fillService, test } from "./console.ts";

interface ServiceRow {
  id: string;
  revision: number;
  vip: string;
  port: number;
  deletedAt: Date | null;
  spec: { forwarding: string; scheduler: string };
}
const serviceNamed = async (name: string) =>
  (await rows<ServiceRow>(`SELECT id, revision, vip, port, "deletedAt", spec FROM "virtualService" WHERE name = $1`, [name]))[0];
const counts = async () =>
  (await rows(`SELECT (SELECT count(*) FROM "virtualService") AS services, (SELECT sequence FROM fleet) AS sequence`))[0];

test("a service saved in the form is in the database, and on its page", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "shop", vip: "192.0.2.10", port: 80, rips: ["192.0.2.21", "192.0.2.22"] });
  await expect(page.getByRole("img", { name: /answers the client directly/ }).first()).toContainText("192.0.2.10:80");
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "shop" })).toBeVisible();
  const saved = await serviceNamed("shop");
  expect(saved).toMatchObject({ vip: "192.0.2.10", port: 80, revision: 1, spec: { forwarding: "dr", scheduler: "wlc" } });
  const rips = await rows(`SELECT rip FROM "realServer" WHERE "serviceId" = $1 ORDER BY position`, [saved!.id]);
  expect(rips.map(({ rip }) => rip)).toEqual(["192.0.2.21", "192.0.2.22"]);
  await expect(page.getByRole("rowheader", { name: "192.0.2.21:80" })).toBeVisible();
  await expect(page).toHaveURL(new RegExp(`/services/${saved!.id}$`));
});

test("bad input is named at its field while typing and on saving, and changes nothing", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "taken", vip: "192.0.2.20", port: 80, rips: ["192.0.2.21"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "taken" })).toBeVisible();
  const before = await counts();

  await page.goto("/services/new");
  await page.getByRole("button", { name: "Create the service" }).click();
  const name = page.getByRole("textbox", { name: "Name", exact: true });
  const vip = page.getByRole("textbox", { name: "VIP" });
  const port = page.getByRole("textbox", { name: "Port" }).first();
  await expect(name).toBeFocused();
  for (const field of [name, vip, port]) await expect(field).toHaveAccessibleDescription(/Fill this in/);

  await name.fill("another");
  await vip.fill("192.0.2");
  await expect(vip).toHaveAccessibleDescription(/Not an IPv4 or IPv6 address/);
  await port.fill("70000");
  await expect(port).toHaveAccessibleDescription(/At most 65,535/);

  // What only the server can know, before anything is saved.
  await vip.fill("192.0.2.20");
  await port.fill("80");
  await expect(port).toHaveAccessibleDescription(/“taken” already serves 192\.0\.2\.20 port 80\/tcp/);
  await port.fill("81");
  await page.getByRole("combobox", { name: "RIP" }).fill("192.0.2.21");
  const rsPort = page.getByRole("group", { name: "Real server 1" }).getByRole("textbox", { name: "Port" });
  await rsPort.fill("8080");
  await expect(rsPort).toHaveAccessibleDescription(/DR and Tunnel cannot change the port: it must be 81/);
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("alert").filter({ hasText: "Some fields are wrong" })).toBeVisible();
  await expect(rsPort).toBeFocused();
  expect(await counts()).toEqual(before);

  // The same numbers are fine in NAT.
  await page.getByRole("radio", { name: "NAT", exact: true }).check();
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "another" })).toBeVisible();
  expect((await serviceNamed("another"))?.spec.forwarding).toBe("nat");
});

test("an edit keeps what it does not touch, and shows in the history", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "edited", vip: "192.0.2.30", port: 443, forwarding: "Tunnel", rips: ["198.51.100.7"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "edited" })).toBeVisible();
  const before = await serviceNamed("edited");
  const [realServer] = await rows(`SELECT id FROM "realServer" WHERE "serviceId" = $1`, [before!.id]);

  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByText("Advanced", { exact: true }).click();
  await page.getByRole("combobox", { name: "Scheduler" }).selectOption("rr");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page).toHaveURL(new RegExp(`/services/${before!.id}$`));
  expect(await serviceNamed("edited")).toMatchObject({ revision: 2, spec: { forwarding: "tun", scheduler: "rr" } });
  expect(await rows(`SELECT id FROM "realServer" WHERE "serviceId" = $1`, [before!.id])).toEqual([realServer]);

  await page.getByRole("tab", { name: "History" }).click();
  await page
    .getByText(/One field/)
    .first()
    .click();
  await expect(page.getByText("scheduler", { exact: true }).first()).toBeVisible();
});

test("when somebody else saves first, nothing is overwritten and the form says so", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "contested", vip: "192.0.2.40", port: 80, rips: ["192.0.2.41"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "contested" })).toBeVisible();
  const { id } = (await serviceNamed("contested"))!;
  await page.getByRole("link", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("mine");

  const token = await apiToken(page.request);
  const theirs = await rest("PATCH", `/virtual-services/${id}`, token, { body: { description: "theirs" }, ifMatch: '"1"' });
  expect(theirs.status).toBe(200);
  await expect(page.getByText("Somebody else changed this meanwhile")).toBeVisible();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Somebody else changed this meanwhile")).toBeVisible();
  expect(await serviceNamed("mine")).toBeUndefined();

  await page.getByRole("button", { name: "Reload" }).click();
  await expect(page.getByRole("textbox", { name: "Name", exact: true })).toHaveValue("contested");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("mine");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { name: "mine" })).toBeVisible();
  expect(await serviceNamed("mine")).toMatchObject({ revision: 3 });
});

test("deleting names the service and asks; Cancel keeps it", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "doomed", vip: "192.0.2.50", port: 80, rips: ["192.0.2.51"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "doomed" })).toBeVisible();
  const dialog = page.getByRole("alertdialog");
  await page.getByRole("button", { name: "Delete" }).click();
  await expect(dialog).toContainText("doomed");
  await expect(dialog).toContainText("192.0.2.50:80/tcp stops answering");
  await expect(dialog.getByRole("button", { name: "Cancel" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  expect((await serviceNamed("doomed"))?.deletedAt).toBeNull();

  await page.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page).toHaveURL(/\/services$/);
  await expect(page.getByRole("rowheader", { name: "doomed" })).toBeHidden();
  expect((await serviceNamed("doomed"))?.deletedAt).not.toBeNull();
});

test("the list's filter lives in the URL, and no match is not the same as nothing there", async ({ page, complaints: _ }) => {
  await fillService(page, { name: "findable", vip: "192.0.2.60", port: 80, rips: ["192.0.2.61"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "findable" })).toBeVisible();
  await page.goto("/services");
  await page.getByRole("searchbox", { name: "Name, VIP or port" }).fill("findable");
  await expect(page).toHaveURL(/q=findable/);
  await expect(page.getByRole("rowheader")).toHaveText(["findable"]);
  await page.reload();
  await expect(page.getByRole("rowheader")).toHaveText(["findable"]);
  await page.getByRole("combobox", { name: "Forwarding" }).selectOption("fullnat");
  await expect(page.getByText("No service matches")).toBeVisible();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await expect(page.getByRole("rowheader", { name: "findable" })).toBeVisible();
});

test("a service made through the API shows up in an open list by itself", async ({ page, complaints: _ }) => {
  await page.goto("/services");
  await expect(page.getByRole("heading", { name: "Services" })).toBeVisible();
  const token = await apiToken(page.request);
  const directorGroupId = await firstGroup();
  const spec = {
    name: "by-api",
    directorGroupId,
    vip: "192.0.2.76",
    port: 80,
    forwarding: "fullnat",
    realServers: [{ rip: "192.0.2.77" }],
  };
  const made = await rest("POST", "/virtual-services", token, { body: spec });
  expect(made.status).toBe(201);
  await expect(page.getByRole("rowheader", { name: "by-api" })).toBeVisible({ timeout: 4000 });
});

test("services are ordered and chosen in the table, and one thing is done to all of them", async ({ page, complaints: _ }) => {
  const token = await apiToken(page.request);
  const directorGroupId = await firstGroup();
  for (const at of [1, 2, 3, 4]) {
    const spec = { name: `many ${at}`, vip: `198.51.100.${20 - at}`, port: 80, forwarding: "nat", directorGroupId };
    expect(await rest("POST", "/virtual-services", token, { body: spec })).toMatchObject({ status: 201 });
  }
  const enabled = async () =>
    (
      await rows<{ name: string }>(
        `SELECT name FROM "virtualService" WHERE name LIKE 'many %' AND "deletedAt" IS NULL AND (spec->>'enabled')::boolean ORDER BY name`,
      )
    ).map(({ name }) => name.slice(5));
  await page.goto("/services?q=many");
  const names = page.getByRole("rowheader").filter({ hasText: "many" });
  await expect(names).toHaveText(["many 1", "many 2", "many 3", "many 4"]);
  await page.getByRole("button", { name: "VIP and port" }).click();
  await expect(names).toHaveText(["many 4", "many 3", "many 2", "many 1"]);
  await expect(page.getByRole("columnheader", { name: "VIP and port" })).toHaveAttribute("aria-sort", "ascending");
  await expect(page).toHaveURL(/sort=address/);

  await page.getByRole("checkbox", { name: "Choose many 4" }).check();
  await page.getByRole("checkbox", { name: "Choose many 2" }).click({ modifiers: ["Shift"] });
  const bar = page.getByRole("region", { name: "What to do with the services chosen" });
  await expect(bar).toContainText("3 services chosen");
  await page.getByRole("checkbox", { name: "Choose many 3" }).uncheck();
  expect(await barriers(page)).toEqual([]);
  await bar.getByRole("button", { name: "Switch off" }).click();
  const dialog = page.getByRole("alertdialog");
  await expect(dialog).toContainText("Switch off 2 services?");
  await dialog.getByText("What each node will do").click();
  await dialog.getByRole("button", { name: "Switch off" }).click();
  await expect(page.getByText("2 services changed.")).toBeVisible();
  expect(await enabled()).toEqual(["1", "3"]);
  await expect(bar).toHaveCount(0);

  await page.getByRole("checkbox", { name: "Choose all on this page" }).check();
  await bar.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("No service matches")).toBeVisible();
  expect(await rows(`SELECT 1 FROM "virtualService" WHERE name LIKE 'many %' AND "deletedAt" IS NULL`)).toEqual([]);
});
