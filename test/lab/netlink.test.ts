import { join } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { type LabHost, type LabProcess, until } from "@trigon/lab";
import { encodeCommand, type IpvsDestination, type IpvsService, ipvsCommand, plainTunnel, serviceFlag } from "@trigon/netlink";
import { destinationToWire, serviceIdToWire, serviceToWire } from "@trigon/netlink/ipvs";
import { build } from "esbuild";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { useLab } from "./use-lab.ts";

const lab = useLab();

interface Answer<T> {
  value: T;
  ms: number;
}

/** @trigon/netlink in a network namespace of the lab (see netlink-remote.ts). */
class Remote {
  readonly #waiting = new Map<number, { resolve: (answer: Answer<unknown>) => void; reject: (error: Error) => void }>();
  #id = 0;

  private constructor(readonly process: LabProcess) {}

  static async start(host: LabHost, script: string): Promise<Remote> {
    const out = new PassThrough();
    let complaint = "";
    const process = await host.spawn(["node", script], {
      stdin: true,
      onStdout: (chunk) => out.write(chunk),
      onStderr: (chunk) => {
        complaint += chunk;
      },
    });
    const remote = new Remote(process);
    createInterface({ input: out }).on("line", (line) => {
      const { id, value, ms, error } = JSON.parse(line);
      const waiting = remote.#waiting.get(id)!;
      remote.#waiting.delete(id);
      if (error) waiting.reject(Object.assign(new Error(error.message), { code: error.code }));
      else waiting.resolve({ value, ms });
    });
    process.exited.then(() => {
      for (const { reject } of remote.#waiting.values()) reject(new Error(`the remote side ended: ${complaint}`));
    });
    return remote;
  }

  timed<T = unknown>(target: string, method: string, ...args: unknown[]): Promise<Answer<T>> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (answer: Answer<unknown>) => void, reject });
      this.process.write(`${JSON.stringify({ id, target, method, args })}\n`);
    });
  }

  async call<T = unknown>(target: string, method: string, ...args: unknown[]): Promise<T> {
    return (await this.timed<T>(target, method, ...args)).value;
  }
}

let script: string;
beforeAll(async () => {
  const folder = join(import.meta.dirname, "../../packages/netlink");
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "netlink-remote.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["netlink"],
    write: false,
  });
  script = join(folder, "netlink-remote.mjs"); // in the lab host's own layer of the checkout, where `netlink` is found
  await lab.host("dir1").writeFile(script, outputFiles[0]!.text);
});

/** A namespace of its own for a describe, with a remote in it. */
function useNamespace() {
  const here = {} as { host: Awaited<ReturnType<LabHost["freshNamespace"]>>; remote: Remote };
  beforeAll(async () => {
    here.host = await lab.host("dir1").freshNamespace();
    await here.host.sh("ip link add eth0 type dummy && ip addr add 10.2.0.11/24 dev eth0 && ip link set eth0 up");
    here.remote = await Remote.start(here.host, script);
  });
  afterAll(async () => {
    await here.remote?.process.kill();
    await here.host?.remove();
  });
  return here;
}

const service: IpvsService = {
  family: "inet",
  protocol: 6,
  address: "192.0.2.10",
  port: 80,
  scheduler: "wrr",
  flags: 0,
  timeout: 0,
  netmask: "255.255.255.255",
};
const v6: IpvsService = {
  ...service,
  family: "inet6",
  address: "2001:db8::10",
  flags: serviceFlag.persistent,
  timeout: 60,
  netmask: "64",
};
const destination: IpvsDestination = {
  family: "inet",
  address: "10.2.0.21",
  port: 80,
  forward: "droute",
  weight: 3,
  upperThreshold: 0,
  lowerThreshold: 0,
  tunnel: plainTunnel,
};
const gue: IpvsDestination = { ...destination, forward: "tunnel", tunnel: { type: "gue", port: 6080, flags: 1 } };
const destination6: IpvsDestination = { ...destination, family: "inet6", address: "2001:db8::21" };

describe("the IPVS table", () => {
  const here = useNamespace();
  const saved = () => here.host.sh("ipvsadm -Sn");
  const ipvs = (method: string, ...args: unknown[]) => here.remote.call("ipvs", method, ...args);
  beforeEach(() => here.host.sh("ipvsadm -C"));

  test("what is written is what ipvsadm saves", async () => {
    await ipvs("newService", service);
    await ipvs("newDestination", service, destination);
    await ipvs("newDestination", service, { ...gue, address: "10.2.0.22" });
    const masq = { ...destination, address: "10.2.0.23", port: 8080, forward: "masq", upperThreshold: 100, lowerThreshold: 50 };
    await ipvs("newDestination", service, masq);
    await ipvs("newService", v6);
    await ipvs("newDestination", v6, destination6);
    await ipvs("newService", { family: "inet", fwmark: 7, scheduler: "rr", flags: 0, timeout: 0, netmask: "255.255.255.255" });
    expect((await saved()).split("\n")).toEqual(
      expect.arrayContaining([
        "-A -t 192.0.2.10:80 -s wrr",
        "-a -t 192.0.2.10:80 -r 10.2.0.21:80 -g -w 3",
        "-a -t 192.0.2.10:80 -r 10.2.0.22:80 -i -w 3 --tun-type gue --tun-port 6080 --tun-csum",
        expect.stringMatching("^-a -t 192.0.2.10:80 -r 10.2.0.23:8080 -m -w 3"),
        "-A -t [2001:db8::10]:80 -s wrr -p 60 -M 64",
        "-a -t [2001:db8::10]:80 -r [2001:db8::21]:80 -g -w 3",
        "-A -f 7 -s rr",
      ]),
    );
    expect(await here.host.sh("ipvsadm -Ln --thresholds")).toMatch(/10\.2\.0\.23:8080\s+100\s+50/);
    await ipvs("delDestination", service, destination);
    await ipvs("delService", v6);
    expect(await saved()).not.toMatch(/10\.2\.0\.21|2001:db8/);
  });

  test("what ipvsadm writes is what is read, counters apart", async () => {
    await here.host.sh(`ipvsadm -R <<'END'
-A -t 192.0.2.10:80 -s wrr
-a -t 192.0.2.10:80 -r 10.2.0.21:80 -i -w 3 --tun-type gue --tun-port 6080 --tun-csum
-A -t [2001:db8::10]:80 -s wrr -p 60 -M 64
END`);
    const listed = (await ipvs("listServices")) as { service: IpvsService; stats: object }[];
    expect(listed.map((entry) => entry.service)).toEqual(expect.arrayContaining([service, v6]));
    expect(listed).toHaveLength(2);
    expect(listed[0]!.stats).toMatchObject({ connections: "0", inBytes: "0", connectionsPerSecond: 0 });
    expect(await ipvs("listDestinations", service)).toMatchObject([
      { destination: gue, connections: { active: 0, inactive: 0, persistent: 0 } },
    ]);
    expect(await ipvs("getService", v6)).toMatchObject({ service: v6 });
    expect(await ipvs("getService", { ...service, port: 81 })).toBeUndefined();
  });

  describe("refusals", () => {
    beforeEach(async () => {
      await ipvs("newService", service);
      await ipvs("newDestination", service, destination);
    });
    const missing = { ...service, port: 81 };
    const cases: [string, string, unknown[]][] = [
      ["EEXIST", "newService", [service]],
      ["EEXIST", "newDestination", [service, destination]],
      ["ESRCH", "setService", [missing]],
      ["ESRCH", "delService", [missing]],
      ["ESRCH", "newDestination", [missing, destination]],
      ["ENOENT", "setDestination", [service, { ...destination, port: 81 }]],
      ["ENOENT", "delDestination", [service, { ...destination, port: 81 }]],
      ["ENOENT", "newService", [{ ...service, port: 82, scheduler: "nosuch" }]],
      ["EINVAL", "newDestination", [service, { ...destination, address: "224.0.0.9" }]],
      ["EINVAL", "newDestination", [service, { ...gue, address: "10.2.0.29", tunnel: { type: "gue", port: 0, flags: 0 } }]],
      ["EINVAL", "newService", [{ ...v6, netmask: "0" }]],
      ["ERANGE", "newDestination", [service, { ...destination, port: 82, upperThreshold: 1, lowerThreshold: 2 }]],
      ["ERANGE", "newDestination", [service, { ...destination, port: 82, weight: 0xffff_ffff }]],
      ["ENODEV", "newDaemon", [{ state: "master", interface: "nosuch0", syncId: 1 }]],
      ["ESRCH", "delDaemon", [{ state: "master", interface: "eth0", syncId: 1 }]],
      ["CodecError", "newService", [{ ...service, address: "2001:db8::1" }]],
    ];
    test.each(cases)("%s: %s", async (code, method, args) => {
      const before = await saved();
      await expect(ipvs(method, ...args)).rejects.toMatchObject({ code });
      expect(await saved()).toBe(before);
    });

    test("EINVAL for an IPv6 service with an IPv4 destination, except in a tunnel", async () => {
      await ipvs("newService", v6);
      await expect(ipvs("newDestination", v6, destination)).rejects.toMatchObject({ code: "EINVAL" });
      await ipvs("newDestination", v6, { ...destination, forward: "tunnel" });
      expect(await ipvs("listDestinations", v6)).toMatchObject([
        { destination: { family: "inet", address: destination.address } },
      ]);
    });

    test("EINVAL for a message without what it needs, EAFNOSUPPORT for another family", async () => {
      const id = await here.remote.call<number>("bulk", "familyId");
      const wire = { ...serviceToWire({ ...service, port: 83 }) };
      const raw = (body: Parameters<typeof encodeCommand>[2], command: number = ipvsCommand.newService) =>
        here.remote.call("raw", "request", encodeCommand(id, command, body).toString("hex"));
      for (const name of ["scheduler", "flags", "timeout", "netmask"] as const)
        await expect(raw({ service: { ...wire, [name]: undefined } })).rejects.toMatchObject({ code: "EINVAL" });
      await expect(raw({ service: { ...wire, family: 17 } })).rejects.toMatchObject({ code: "EAFNOSUPPORT" });
      for (const name of ["forward", "weight", "upperThreshold", "lowerThreshold"] as const) {
        const body = {
          service: serviceIdToWire(service),
          destination: { ...destinationToWire(gue), port: 84, [name]: undefined },
        };
        await expect(raw(body, ipvsCommand.newDestination)).rejects.toMatchObject({ code: "EINVAL" });
      }
    });

    test("the destinations of a service that is not there are none, without an error", async () => {
      expect(await ipvs("listDestinations", missing)).toEqual([]);
    });
  });

  test("setting a destination keeps its tunnel, because every attribute is sent; without them the kernel resets it", async () => {
    const id = await here.remote.call<number>("bulk", "familyId");
    await ipvs("newService", service);
    await ipvs("newDestination", service, gue);
    await ipvs("setDestination", service, { ...gue, weight: 9 });
    expect(await saved()).toContain("-w 9 --tun-type gue --tun-port 6080 --tun-csum");
    const { tunnelType, tunnelPort, tunnelFlags, ...bare } = destinationToWire({ ...gue, weight: 8 });
    const body = { service: serviceIdToWire(service), destination: bare };
    await here.remote.call("raw", "request", encodeCommand(id, ipvsCommand.setDestination, body).toString("hex"));
    expect([tunnelType, tunnelPort, tunnelFlags]).toEqual([1, 6080, 1]);
    expect(await saved()).toContain("-w 8 --tun-type ipip");
  });

  test("timeouts: what is set is what ipvsadm shows; an absent one stays", async () => {
    await ipvs("setConfig", { tcp: 901, tcpFin: 121, udp: 301 });
    await ipvs("setConfig", { udp: 302 });
    expect(await here.host.sh("ipvsadm -L --timeout")).toContain("901 121 302");
    expect(await ipvs("getConfig")).toEqual({ tcp: 901, tcpFin: 121, udp: 302 });
  });

  test("sync daemons start, are listed and stop", async () => {
    await ipvs("newDaemon", { state: "master", interface: "eth0", syncId: 5 });
    const backup = { state: "backup", interface: "eth0", syncId: 6, maxLength: 1400, group: "239.0.0.5", port: 9000, ttl: 3 };
    await ipvs("newDaemon", backup);
    await expect(ipvs("newDaemon", backup)).rejects.toMatchObject({ code: "EEXIST" });
    expect(await here.host.sh("ipvsadm -L --daemon")).toMatch(/master sync daemon[\s\S]*backup sync daemon/);
    expect(await ipvs("listDaemons")).toEqual([
      { state: "master", interface: "eth0", syncId: 5, maxLength: 1472, group: "224.0.0.81", port: 8848, ttl: 1 },
      backup,
    ]);
    for (const state of ["master", "backup"]) await ipvs("delDaemon", { state, interface: "eth0", syncId: 0 });
    expect(await here.host.sh("ipvsadm -L --daemon")).toBe("");
  });

  test("version, and counters that are zeroed", async () => {
    expect(await ipvs("getInfo")).toEqual({ version: "1.2.1", connectionTableSize: 4096 });
    await ipvs("newService", service);
    await ipvs("newDestination", service, { ...destination, address: "10.2.0.11", forward: "masq" });
    await here.host.sh("ip addr add 192.0.2.10/32 dev lo; curl -s -m 1 http://192.0.2.10/ || true");
    const connections = async () => ((await ipvs("getService", service)) as { stats: { connections: string } }).stats.connections;
    await until("the kernel's two-second estimator", async () => Number(await connections()) > 0);
    expect(await here.host.sh("ipvsadm -Ln --stats")).toMatch(/192\.0\.2\.10:80\s+[1-9]/);
    await ipvs("zero", service);
    expect(await connections()).toBe("0");
    await ipvs("zero");
  });
});

describe("batches", () => {
  const here = useNamespace();
  type Failures = [index: number, code: string, request: string][];

  test("1,000 services with 10 destinations each are written, and read back whole", async () => {
    const { value: failures, ms: written } = await here.remote.timed<Failures>("bulk", "batch", "new", 1000, 10);
    expect(failures).toEqual([]);
    const lines = (await here.host.sh("ipvsadm -Sn")).split("\n");
    expect(lines).toHaveLength(11_000);
    for (const [service, weight] of [
      ["10.20.0.0", 0],
      ["10.20.3.231", 9],
    ] as const)
      expect(lines.some((line) => line.startsWith(`-a -t ${service}:80`) && line.endsWith(`-g -w ${weight}`))).toBe(true);
    const { value: counted, ms: read } = await here.remote.timed("bulk", "count");
    expect(counted).toEqual({ services: 1000, destinations: 10_000 });
    const script = "ipvsadm -Sn >/root/rules; ipvsadm -C; date +%s%N; ipvsadm -R </root/rules; date +%s%N; ipvsadm -Sn | wc -l";
    const [started, ended, restored] = (await here.host.sh(script)).split("\n").map(Number);
    expect(restored).toBe(11_000);
    const ipvsadm = (ended! - started!) / 1e6;
    console.log(`11,000 rules: ${written.toFixed(0)} ms, read in ${read.toFixed(0)} ms; ipvsadm -R: ${ipvsadm.toFixed(0)} ms`);
    expect(written).toBeLessThan(ipvsadm);
  });

  test("each error is given to its own message, and the messages around it are carried out", async () => {
    await here.host.sh("ipvsadm -C; for i in 3 200 700; do ipvsadm -A -t 10.20.$((i / 256)).$((i % 256)):80 -s rr; done");
    const failures = await here.remote.call<Failures>("bulk", "batch", "new", 900, 0);
    expect(failures).toEqual([
      [3, "EEXIST", "newService tcp 10.20.0.3:80"],
      [200, "EEXIST", "newService tcp 10.20.0.200:80"],
      [700, "EEXIST", "newService tcp 10.20.2.188:80"],
    ]);
    expect((await here.host.sh("ipvsadm -Sn")).split("\n")).toHaveLength(900);
  });

  test("even if every message fails, no error is lost", async () => {
    await here.host.sh("ipvsadm -C");
    const failures = await here.remote.call<Failures>("bulk", "batch", "set", 2000, 0);
    expect(failures.map(([index]) => index)).toEqual(Array.from({ length: 2000 }, (_, index) => index));
    expect(new Set(failures.map(([, code]) => code))).toEqual(new Set(["ESRCH"]));
  });
});

describe("rtnetlink", () => {
  const here = useNamespace();
  const route = <T = unknown>(method: string, ...args: unknown[]) => here.remote.call<T>("route", method, ...args);
  const ip = async <T>(...args: string[]) => here.host.json<T>(["ip", "-j", ...args]);
  const indexOf = async (name: string) => (await route<{ index: number }>("getLink", name)).index;

  test("a tunnel is made as `ip -d link` shows it, and read as it was made", async () => {
    const tunnels = {
      ipip: { local: "10.2.0.11", remote: "10.2.0.12", ttl: 64, pmtuDiscovery: true },
      gre: { local: "10.2.0.11", remote: "10.2.0.13", ttl: 0, pmtuDiscovery: true },
      sit: { local: "10.2.0.11", remote: "10.2.0.14", ttl: 0, pmtuDiscovery: false },
    };
    for (const [kind, tunnel] of Object.entries(tunnels)) {
      await route("createLink", { name: `trg-${kind}`, kind, tunnel });
      expect(await route("getLink", `trg-${kind}`)).toMatchObject({ kind, up: false, tunnel });
      const [shown] = await ip<{ linkinfo: object }[]>("-d", "link", "show", `trg-${kind}`);
      const { local, remote, ttl, pmtuDiscovery } = tunnel;
      const info_data = { local, remote, ttl, ...(kind === "gre" ? {} : { pmtudisc: pmtuDiscovery }) };
      expect(shown!.linkinfo).toMatchObject({ info_kind: kind, info_data: expect.objectContaining(info_data) });
      await expect(route("createLink", { name: `trg-${kind}`, kind, tunnel })).rejects.toMatchObject({ code: "EEXIST" });
    }
    await route("setLink", "trg-ipip", { up: true, mtu: 1300 });
    expect(await ip("link", "show", "trg-ipip")).toMatchObject([{ mtu: 1300, flags: expect.arrayContaining(["UP"]) }]);
    await route("setLink", "trg-ipip", { up: false });
    expect(await ip("link", "show", "trg-ipip")).toMatchObject([{ flags: expect.not.arrayContaining(["UP"]) }]);
    for (const kind of Object.keys(tunnels)) await route("deleteLink", `trg-${kind}`);
    expect((await ip<{ ifname: string }[]>("link")).filter(({ ifname }) => ifname.startsWith("trg-"))).toEqual([]);
    await expect(route("deleteLink", "trg-ipip")).rejects.toMatchObject({ code: "ENODEV" });
    await expect(route("createLink", { name: "a-name-of-sixteen", kind: "dummy" })).rejects.toMatchObject({ code: "CodecError" });
  });

  test("links are the ones that ip lists, with their counters", async () => {
    const links = await route<{ index: number; name: string; mtu: number; counters: { rxBytes: string } }[]>("listLinks");
    const shown = await ip<{ ifindex: number; ifname: string; mtu: number; stats64: { rx: { bytes: number } } }[]>("-s", "link");
    expect(links.map(({ index, name, mtu }) => [index, name, mtu])).toEqual(
      shown.map((link) => [link.ifindex, link.ifname, link.mtu]),
    );
    expect(links.every(({ counters }) => /^\d+$/.test(counters.rxBytes))).toBe(true);
  });

  test("addresses: scope, label, flags, and only the prefix that is meant is deleted", async () => {
    const lo = 1;
    await route("addAddress", { index: lo, address: "192.0.2.20", prefix: 32, label: "lo:vip", scope: 254 });
    await route("addAddress", { index: lo, address: "2001:db8:9::10", prefix: 128, flags: 0x2 | 0x200, deprecated: true });
    const [shown] = await ip<{ addr_info: object[] }[]>("addr", "show", "lo");
    expect(shown!.addr_info).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ local: "192.0.2.20", prefixlen: 32, scope: "host", label: "lo:vip" }),
        expect.objectContaining({ local: "2001:db8:9::10", nodad: true, noprefixroute: true, deprecated: true }),
      ]),
    );
    const listed = await route<{ address: string }[]>("listAddresses", { index: lo });
    expect(listed.find(({ address }) => address === "192.0.2.20")).toMatchObject({ prefix: 32, label: "lo:vip", scope: 254 });
    await expect(route("addAddress", { index: lo, address: "192.0.2.20", prefix: 32 })).rejects.toMatchObject({ code: "EEXIST" });
    const other = { index: lo, address: "192.0.2.20", prefix: 24 };
    await expect(route("deleteAddress", other)).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    await route("deleteAddress", { ...other, prefix: 32 });
    await route("deleteAddress", { index: lo, address: "2001:db8:9::10", prefix: 128 });
    const [after] = await ip<{ addr_info: { local: string }[] }[]>("addr", "show", "lo");
    expect(after!.addr_info.map(({ local }) => local)).not.toEqual(expect.arrayContaining(["192.0.2.20"]));
  });

  test("routes: tables, metrics, replace, and the way a packet would go", async () => {
    const index = await indexOf("eth0");
    const far = { destination: "10.88.0.0/16", gateway: "10.2.0.1", table: 1000, metric: 7, advmss: 1400 };
    await route("addRoute", far);
    expect(await ip("route", "show", "table", "1000")).toMatchObject([
      { dst: "10.88.0.0/16", gateway: "10.2.0.1", metric: 7, metrics: [{ advmss: 1400 }], protocol: "static" },
    ]);
    await expect(route("addRoute", far)).rejects.toMatchObject({ code: "EEXIST" });
    await route("replaceRoute", { ...far, gateway: "10.2.0.2" });
    expect(await route("listRoutes", { table: 1000 })).toMatchObject([
      { destination: "10.88.0.0/16", gateway: "10.2.0.2", metric: 7 },
    ]);
    await here.host.sh("ip route add 10.99.0.0/16 nexthop via 10.2.0.3 weight 1 nexthop via 10.2.0.4 weight 3");
    const all = await route<{ destination: string }[]>("listRoutes", { table: 254 });
    expect(all.find(({ destination: to }) => to === "10.99.0.0/16")).toMatchObject({
      nextHops: [
        { gateway: "10.2.0.3", index, weight: 1 },
        { gateway: "10.2.0.4", index, weight: 3 },
      ],
    });
    await here.host.sh("ip -6 route add 2001:db8:77::/48 dev eth0");
    expect(
      (await route<{ destination: string }[]>("listRoutes", { family: "inet6" })).map((found) => found.destination),
    ).toContain("2001:db8:77::/48");
    expect(await route("getRoute", { destination: "10.2.0.50" })).toMatchObject({ index, source: "10.2.0.11" });
    await expect(route("getRoute", { destination: "2a00::1" })).rejects.toMatchObject({ code: "ENETUNREACH" });
    await route("deleteRoute", { destination: "10.88.0.0/16", table: 1000 });
    await expect(route("deleteRoute", { destination: "10.88.0.0/16", table: 1000 })).rejects.toMatchObject({ code: "ESRCH" });
  });

  test("rules: source, ports, protocol, mark; deleted as they were added", async () => {
    const reply = { family: "inet", priority: 500, from: "10.2.0.21/32", sourcePorts: [80, 80], ipProtocol: 6, table: 100 };
    const marked = { family: "inet6", priority: 501, fwmark: 7, fwmask: 255, table: 1000 };
    await route("addRule", reply);
    await route("addRule", marked);
    const shown = await ip<{ priority: number }[]>("rule");
    expect(shown.find(({ priority }) => priority === 500)).toMatchObject({
      src: "10.2.0.21",
      ipproto: "tcp",
      sport: 80,
      table: "100",
    });
    expect(await here.host.sh("ip -6 rule")).toContain("from all fwmark 0x7/0xff lookup 1000");
    expect(await route("listRules")).toEqual(
      expect.arrayContaining([expect.objectContaining(reply), expect.objectContaining(marked)]),
    );
    await expect(route("addRule", reply)).rejects.toMatchObject({ code: "EEXIST" });
    await route("deleteRule", reply);
    await route("deleteRule", marked);
    await expect(route("deleteRule", reply)).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("neighbours, and ports that unwrap GUE", async () => {
    await here.host.sh("ip neigh add 10.2.0.77 lladdr 02:00:00:00:00:77 dev eth0");
    expect(await route("listNeighbours", { index: await indexOf("eth0") })).toContainEqual(
      expect.objectContaining({ address: "10.2.0.77", mac: "02:00:00:00:00:77", state: "permanent" }),
    );
    await here.remote.call("fou", "add", { family: "inet", port: 6080, type: "gue" });
    expect(await here.host.sh("ip fou show")).toContain("port 6080 gue");
    expect(await here.remote.call("fou", "list")).toEqual([{ family: "inet", port: 6080, type: "gue" }]);
    await here.remote.call("fou", "delete", { family: "inet", port: 6080 });
    expect(await here.remote.call("fou", "list")).toEqual([]);
  });

  test("changes by other programs are announced: link, address, route, rule, in both directions", async () => {
    await here.remote.call("monitor", "take");
    await here.host.sh(`ip link add dum7 type dummy; ip link set dum7 up; ip addr add 10.7.0.1/24 dev dum7; ip -6 addr add 2001:db8:7::1/64 dev dum7 nodad
      ip route add 10.70.0.0/16 via 10.7.0.2; ip rule add fwmark 9 lookup 9 priority 900; ip rule del priority 900; ip link del dum7`);
    const seen: string[] = [];
    await until(
      "the last notification",
      async () => {
        const changes = await here.remote.call<Record<string, Record<string, unknown>>[]>("monitor", "take");
        for (const { topic, removed, link, address, route: path, rule } of changes) {
          const what = link?.name ?? address?.address ?? path?.destination ?? rule?.priority;
          seen.push(`${removed ? "-" : "+"}${topic} ${what}`);
        }
        return seen.includes("-link dum7");
      },
      { deadlineMs: 10_000 },
    );
    expect(seen).toEqual(
      expect.arrayContaining([
        "+link dum7",
        "+address 10.7.0.1",
        "+address 2001:db8:7::1",
        "+route 10.70.0.0/16",
        "+rule 900",
        "-rule 900",
        "-address 10.7.0.1",
        "-link dum7",
      ]),
    );
  });
});
