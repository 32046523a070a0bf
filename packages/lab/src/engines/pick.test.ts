import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { systemPackages } from "../system-packages.ts";
import { native } from "./native.ts";
import { pickEngine } from "./pick.ts";

test("a kernel that has IPVS loaded is used itself", () => {
  if (existsSync("/proc/net/ip_vs")) expect(native.withoutIpvs()).toBeUndefined();
  else if (!existsSync("/lib/modules")) expect(native.withoutIpvs()).toMatch(/has no ip_vs$/);
});

test("an engine that cannot run says why", () => {
  expect(() => pickEngine("qemu" as never)).toThrow(/no lab engine can run here/);
});

test("the packages to install hold a kernel and the tools that tests ask", () => {
  expect(systemPackages).toEqual(
    expect.arrayContaining(["user-mode-linux", "ipvsadm", "tcpdump", "iproute2", "kmod", "python3"]),
  );
});
