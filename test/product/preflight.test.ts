import { differences, Lab, snapshot } from "@trigon/lab";
import type { EnrollmentTokenCreated, EnrollmentTokenView } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { sql } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();
/** A machine whose kernel really has no ip_vs: a lab of its own, with the appliance in reach. */
let bare: Lab;
beforeAll(async () => {
  const ports = [world.consoleUrl, world.agentUrl].map((url) => Number(new URL(url).port));
  bare = await Lab.up({
    name: `no-ipvs-${process.pid}`,
    engine: "uml",
    mem: "384M",
    withoutIpvs: true,
    topology: { hosts: [{ name: "plain", links: [{ ifname: "eth0", segment: "lan", addresses: ["10.2.0.50/24"] }] }] },
    forwards: Object.fromEntries(ports.map((port) => [port, { port }])),
  });
}, 150_000);
afterAll(() => bare?.down());

/** Nothing has loaded it, and the host's own copy of the kernel's modules lacks it, as a distribution's package of few modules does. */
const removeIpvs = `set -e
  release=$(uname -r)
  mkdir -p /root/few/lib/modules
  cp -r /lib/modules/$release /root/few/lib/modules/
  rm -r /root/few/lib/modules/$release/kernel/net/netfilter/ipvs
  depmod -b /root/few $release
  mount --bind /root/few/lib/modules/$release /lib/modules/$release`;

/** Every file a program could have changed: its kind, mode, owner, size, times and target. */
const fileTree = (host: ReturnType<Lab["host"]>) =>
  host.sh(
    `find /etc /opt /root /home /var /run /usr/local /lib/modules /usr/lib/systemd /tmp -xdev -mindepth 1 -printf '%p %y %m %U:%G %s %T@ %l\\n' 2>/dev/null | sort`,
    { allowFailure: true, timeoutMs: 120_000 },
  );

test("a director without ip_vs: the script names the module and what to do, and changes nothing on the machine", async () => {
  const plain = bare.host("plain");
  await plain.sh(removeIpvs);
  expect((await plain.exec(["modprobe", "ip_vs"])).code).not.toBe(0);
  const created = await world.api.call<z.infer<typeof EnrollmentTokenCreated>>("POST", "/enrollment-tokens", {
    role: "director",
    name: "plain",
  });
  const nodes = await sql(world.databaseUrl, "SELECT id FROM node ORDER BY id");
  const before = {
    files: await fileTree(plain),
    kernel: await snapshot(plain),
    modules: await plain.sh("cut -d' ' -f1 /proc/modules"),
  };
  expect(before.files.split("\n").length).toBeGreaterThan(500);

  const line = created.commands.curl.replace("sudo sh", "sh");
  const { code, stderr } = await plain.exec(["/bin/sh", "-c", line], { timeoutMs: 170_000 });
  expect(stderr).toMatch(/✗ kernel modules {3}ip_vs: not in Linux \S+ \[12\]\n {4}fix: +\S.*/);
  expect(stderr).toContain("Nothing was changed");
  expect(code).toBe(12);

  expect(differences(before.kernel, await snapshot(plain))).toEqual([]);
  const changed = new Set((await fileTree(plain)).split("\n"));
  for (const known of before.files.split("\n")) changed.delete(known);
  expect([...changed]).toEqual([]);
  expect((await fileTree(plain)).split("\n").length).toBe(before.files.split("\n").length);
  expect(await plain.sh("cut -d' ' -f1 /proc/modules")).toBe(before.modules);
  expect(await sql(world.databaseUrl, "SELECT id FROM node ORDER BY id")).toEqual(nodes);
  const { data } = await world.api.call<{ data: EnrollmentTokenView[] }>("GET", "/enrollment-tokens?limit=100");
  expect(data.find(({ id }) => id === created.id)).toMatchObject({
    stage: "preflightFailed",
    lastContact: { message: expect.stringContaining("ip_vs") },
  });
}, 300_000);
