import { rest, rows } from "./appliance.ts";
import { apiToken, expect, fillService, test } from "./console.ts";

interface Stored {
  id: string;
  health: {
    check: Record<string, unknown> | null;
    failOpen: boolean;
    sorryServer: { rip: string } | null;
    maxOutAtOnce: number | null;
  };
}
const healthOf = async (name: string) =>
  (await rows<Stored>(`SELECT id, spec->'health' AS health FROM "virtualService" WHERE name = $1`, [name]))[0];

test("the check that is chosen in the form is what is stored, and one nobody chose is the default", async ({
  page,
  complaints: _,
}) => {
  await fillService(page, { name: "checked", vip: "192.0.2.160", port: 80, rips: ["192.0.2.21"] });
  await page.getByText("Health check", { exact: true }).click();
  await page.getByRole("combobox", { name: "Check", exact: true }).selectOption("http");
  await page.getByRole("textbox", { name: "Path" }).fill("/healthz");
  await page.getByRole("textbox", { name: "Statuses that pass" }).fill("200,204");
  await page.getByRole("textbox", { name: "Interval (ms)" }).fill("500");
  await page.getByRole("textbox", { name: "Out at most at a time" }).fill("1");
  await page.getByRole("switch", { name: "Sorry server" }).click();
  const rip = page.getByRole("textbox", { name: "RIP" });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(rip).toHaveAccessibleDescription(/Not an IPv4 or IPv6 address|Fill this in/);
  await rip.fill("192.0.2.99");
  // The interval is below the other two times: the server says so at the fields.
  const timeout = page.getByRole("textbox", { name: "Timeout (ms)" });
  await expect(timeout).toHaveAccessibleDescription(/at most the interval, 500 ms/);
  await timeout.fill("400");
  await page.getByRole("textbox", { name: "While changing (ms)" }).fill("500");
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "checked" })).toBeVisible();
  expect((await healthOf("checked"))?.health).toMatchObject({
    check: { kind: "http", path: "/healthz", statuses: "200,204", intervalMs: 500, timeoutMs: 400, host: null, port: null },
    failOpen: true,
    maxOutAtOnce: 1,
    sorryServer: { rip: "192.0.2.99" },
  });

  await fillService(page, { name: "unchecked", vip: "192.0.2.161", port: 80, rips: ["192.0.2.21"] });
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "unchecked" })).toBeVisible();
  const { id, health } = (await healthOf("unchecked"))!;
  expect(health).toMatchObject({ check: null, failOpen: true });
  const { body } = await rest("GET", `/virtual-services/${id}`, await apiToken(page.request));
  expect(body).toMatchObject({ health: { check: null, onFailure: "inhibit" }, status: { health: null } });
});

test("a check goes to the VIP, or verifies certificates by an authority of its own, as the form says", async ({
  page,
  complaints: _,
}) => {
  await fillService(page, { name: "by-vip", vip: "192.0.2.162", port: 80, rips: ["192.0.2.21"] });
  await page.getByText("Health check", { exact: true }).click();
  const kind = page.getByRole("combobox", { name: "Check", exact: true });
  await kind.selectOption("tcp");
  await page.getByRole("combobox", { name: "Asked at" }).selectOption("vip");
  const port = page.locator('input[name="health.check.port"]');
  await port.fill("81");
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(port).toHaveAccessibleDescription(/leave this empty/);
  await port.fill("");
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "by-vip" })).toBeVisible();
  expect((await healthOf("by-vip"))?.health.check).toMatchObject({ kind: "tcp", target: "vip", port: null });

  await fillService(page, { name: "verified", vip: "192.0.2.163", port: 443, rips: ["192.0.2.21"] });
  await page.getByText("Health check", { exact: true }).click();
  await kind.selectOption("https");
  await page.getByRole("switch", { name: "Verify the certificate" }).click();
  const ca = page.getByRole("textbox", { name: "Trusted authority (CA)" });
  await ca.fill("shop.example");
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(ca).toHaveAccessibleDescription(/PEM is wanted here/);
  const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
  await ca.fill(pem);
  await page.getByRole("button", { name: "Create the service" }).click();
  await expect(page.getByRole("heading", { name: "verified" })).toBeVisible();
  expect((await healthOf("verified"))?.health.check).toMatchObject({ kind: "https", verify: true, ca: pem, target: "rip" });
});
