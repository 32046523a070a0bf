import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { VrrpResource } from "@trigon/model";
import { afterAll, expect, test } from "vitest";
import { heartbeatCheck, keepalivedConfiguration, vrrpFiles } from "./keepalived-conf.ts";

const directory = mkdtempSync(join(tmpdir(), "trigon-vrrp-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const group: VrrpResource = {
  ...{ kind: "vrrp", key: "vrrp g1", groupId: "g1", virtualRouterId: 51, priority: 98, advertMs: 100 },
  ...{ interface: "eth0", source: "10.2.0.11", unicastPeers: ["10.2.0.12"] },
  vips: [
    { address: "10.2.0.100", interface: "eth0" },
    { address: "fd00:2::100", interface: "eth0" },
  ],
};

test("VIPs are not named in packets, and no packet is sent to everybody", () => {
  const text = keepalivedConfiguration([group], vrrpFiles("/d"));
  const of = (name: string) => new RegExp(`^  ${name} \\{\n([^}]*)\\}`, "m").exec(text)?.[1]?.trim().split(/\n\s*/);
  expect(of("virtual_ipaddress")).toEqual(["169.254.86.51/32 dev lo"]);
  expect(of("virtual_ipaddress_excluded")).toEqual(["10.2.0.100/32 dev eth0", "fd00:2::100/128 dev eth0"]);
  expect(of("unicast_peer")).toEqual(["10.2.0.12"]);
  expect(text).toContain("advert_int 0.1\n");
  expect(text).not.toContain("virtual_server");
});

test("the agent counts as there while its heartbeat is young", () => {
  const files = vrrpFiles(directory);
  const passes = (age: number) => {
    const uptime = Math.floor(Number(execFileSync("cat", ["/proc/uptime"], { encoding: "utf8" }).split(" ")[0]));
    writeFileSync(files.heartbeat, `${uptime - age}\n`);
    writeFileSync(files.heartbeatCheck, heartbeatCheck(files));
    try {
      execFileSync("/bin/sh", [files.heartbeatCheck]);
      return true;
    } catch {
      return false;
    }
  };
  expect(passes(2)).toBe(true);
  expect(passes(20)).toBe(false);
  rmSync(files.heartbeat);
  expect(() => execFileSync("/bin/sh", [files.heartbeatCheck], { stdio: "ignore" })).toThrow();
});
