import { expect, test } from "vitest";
import { commandsFor } from "./explain.ts";
import { hostAddress } from "./resources.ts";

test("an IPv6 VIP is bound without a wait, and never as the source of the machine's own packets", () => {
  const line = (address: string) => commandsFor({ op: "create", to: hostAddress("eth0", address, "vipOnDirector") });
  expect(line("192.0.2.10")).toEqual(["ip addr add 192.0.2.10/32 dev eth0"]);
  expect(line("2001:db8::10")).toEqual(["ip addr add 2001:db8::10/128 dev eth0 nodad preferred_lft 0"]);
});
