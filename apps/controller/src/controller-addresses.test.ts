import { networkInterfaces } from "node:os";
import { expect, test, vi } from "vitest";
import { controllerAddresses } from "./controller-addresses.ts";

test("addresses among the names, this machine's own, and what names resolve to", async () => {
  const addresses = controllerAddresses(["192.0.2.7", "localhost", "2001:db8::7"]);
  expect(addresses()).toEqual(expect.arrayContaining(["192.0.2.7", "2001:db8::7"]));
  const own = Object.values(networkInterfaces()).flatMap((legs) => (legs ?? []).map(({ address }) => address));
  expect(addresses()).toEqual(expect.arrayContaining(own));
  await vi.waitFor(() => expect(addresses().some((address) => address === "127.0.0.1" || address === "::1")).toBe(true));
});

test("a name that does not resolve is no trouble", () => {
  expect(controllerAddresses(["name.invalid"])()).not.toContain("name.invalid");
});
