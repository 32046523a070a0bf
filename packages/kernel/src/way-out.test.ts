import { expect, test } from "vitest";
import { isCutOffFrom, type WayOut } from "./way-out.ts";

const controller = "192.0.2.7";
const gateway = "198.51.100.1";

/** A machine on 198.51.100.0/24 whose routes and neighbours are these. */
const machine = (change: Partial<WayOut> & { silent?: string[] } = {}): WayOut => ({
  addressesOf: async () => [controller],
  routeTo: async () => ({ dst: controller, gateway, dev: "eth0" }),
  defaultRoutes: async () => [{ dst: "default", gateway, dev: "eth0" }],
  answers: async (_device, address) => !(change.silent ?? []).includes(address),
  ...change,
});
const isCutOff = (change?: Parameters<typeof machine>[0], found = ["198.51.100.9"]) =>
  isCutOffFrom("controller", found, machine(change));

test("a controller that is down behind a gateway that answers is no cut", async () => {
  expect(await isCutOff()).toBe(false);
});

test("a silent gateway, no route, or the controller's address being ours is one", async () => {
  expect(await isCutOff({ silent: [gateway] })).toBe(true);
  expect(await isCutOff({ routeTo: async () => undefined })).toBe(true);
  expect(await isCutOff({ routeTo: async () => ({ type: "local", dst: controller, dev: "lo" }) })).toBe(true);
});

test("a controller on this very machine cannot be cut off", async () => {
  const routeTo = async () => ({ type: "local", dst: controller, dev: "lo" });
  expect(await isCutOff({ routeTo }, [controller])).toBe(false);
});

test("a silent controller on the link is told from a dead link by the gateway", async () => {
  const routeTo = async () => ({ dst: controller, dev: "eth0" });
  expect(await isCutOff({ routeTo, silent: [controller] })).toBe(false);
  expect(await isCutOff({ routeTo, silent: [controller, gateway] })).toBe(true);
  expect(await isCutOff({ routeTo, silent: [controller], defaultRoutes: async () => [] })).toBe(true);
});

test("where its name cannot be resolved, the gateways tell", async () => {
  const addressesOf = () => Promise.reject(new Error("no resolver"));
  expect(await isCutOff({ addressesOf })).toBe(false);
  expect(await isCutOff({ addressesOf, silent: [gateway] })).toBe(true);
});
