import assert from "node:assert/strict";
import {
  type AddressResource,
  type FilterRuleResource,
  type IpvsDestinationResource,
  type IpvsServiceResource,
  type LinkResource,
  type LinkStateResource,
  type ModuleResource,
  type Resource,
  resourceKey,
  type SysctlResource,
} from "@trigon/model";
import type { Action, ActionResult, Kernel, KernelEvent } from "@trigon/reconciler";

/** A node and its surroundings, real or not. */
export interface World {
  kernel: Kernel;
  /** An interface that is up, on a link with neighbours. */
  interfaceName: string;
  /** An address of this node on that interface. */
  own: string;
  /** Of another node on that link, with its link address. */
  neighbour: { address: string; mac: string };
  /** On that link too, and held by nobody. */
  free: string;
  /** Answers a program's stdout: a second opinion on what the kernel holds. None where nothing but the fake knows. */
  look?: (program: string, ...args: string[]) => Promise<string>;
}

export interface ContractCase {
  name: string;
  run(world: World): Promise<void>;
}

/** What every `Kernel` does, one guarantee a case. A case leaves the kernel as it found it. */
export const kernelContract: readonly ContractCase[] = [
  {
    name: "facts tell of the interface and its address, and not of tunnels of ours",
    async run({ kernel, interfaceName, own, neighbour }) {
      const link = tunnel("trg-9", own, neighbour.address);
      await succeed(kernel, [create(link)]);
      const facts = await kernel.facts();
      await succeed(kernel, [remove(link)]);
      assert.ok(facts.hostname && facts.bootId && facts.machineId && facts.kernel && facts.architecture);
      const found = facts.interfaces.find(({ name }) => name === interfaceName);
      assert.ok(found?.up && found.mac);
      assert.ok(found.addresses.some(({ address }) => address === own));
      assert.ok(!facts.interfaces.some(({ name }) => name === "trg-9"));
      assert.ok(facts.routes.some(({ destination, family }) => destination === null && family === 4));
    },
  },
  {
    name: "what is not there is left out of an observation",
    async run({ kernel }) {
      const keys = [
        resourceKey.module("trigon_none"),
        resourceKey.link("trg-9"),
        resourceKey.linkState("trg-9"),
        resourceKey.sysctl("net/ipv4/conf/trg-9/rp_filter"),
        resourceKey.filterRule({ family: 4, table: "raw", hook: "PREROUTING", id: "none" }),
        service().key,
        destination().key,
        vipOnLoopback().key,
      ];
      assert.deepEqual(await kernel.observe(keys), new Map());
    },
  },
  {
    name: "a loaded module is seen, and one that no kernel has fails alone",
    async run({ kernel, look }) {
      await succeed(kernel, [create(module("ip_vs"))]);
      assert.deepEqual(await one(kernel, module("ip_vs").key), module("ip_vs"));
      if (look) assert.match(await look("cat", "/proc/modules"), /^ip_vs /m);
      const results = await kernel.apply([create(module("trigon_none")), create(module("ip_vs_rr"))]);
      assert.deepEqual(codes(results), ["ENOENT", "ok"]);
    },
  },
  {
    name: "a sysctl takes an exact value, and `atLeast` leaves a greater one alone",
    async run({ kernel, look }) {
      const path = "net/ipv4/conf/lo/arp_ignore";
      const key = resourceKey.sysctl(path);
      const exact = (value: string): SysctlResource => ({ kind: "sysctl", key, path, value });
      const atLeast = (number: number): SysctlResource => ({ kind: "sysctl", key, path, atLeast: number });
      const before = (await one(kernel, key)) as SysctlResource;
      await succeed(kernel, [create(exact("2")), create(atLeast(1))]);
      assert.equal(((await one(kernel, key)) as SysctlResource).value, "2");
      if (look) assert.equal((await look("sysctl", "-n", "net.ipv4.conf.lo.arp_ignore")).trim(), "2");
      await succeed(kernel, [create(exact("0")), create(atLeast(1))]);
      assert.equal(((await one(kernel, key)) as SysctlResource).value, "1");
      await succeed(kernel, [create(exact(before.value!))]);
    },
  },
  {
    name: "a sysctl that the kernel lacks is ENOENT, or nothing at all when it may be absent; nonsense is EINVAL",
    async run({ kernel }) {
      const absent = sysctl("net/ipv4/vs/trigon_none", "1");
      const results = await kernel.apply([
        create(absent),
        create({ ...absent, ifPresent: true }),
        create(sysctl("net/ipv4/conf/lo/arp_ignore", "nonsense")),
      ]);
      assert.deepEqual(codes(results), ["ENOENT", "ok", "EINVAL"]);
    },
  },
  {
    name: "restore puts a sysctl back, unless somebody has changed it since",
    async run({ kernel }) {
      const wanted = sysctl("net/ipv4/conf/lo/arp_announce", "2");
      const found = (await kernel.found([create(wanted)])).get(wanted.key)!;
      await succeed(kernel, [create(wanted)]);
      assert.equal(await kernel.restore(wanted, found), true);
      assert.equal(((await one(kernel, wanted.key)) as SysctlResource).value, found.value);
      await succeed(kernel, [create(wanted), create({ ...wanted, value: "1" })]);
      assert.equal(await kernel.restore(wanted, found), false);
      assert.equal(((await one(kernel, wanted.key)) as SysctlResource).value, "1");
      await succeed(kernel, [create({ ...wanted, value: found.value! })]);
    },
  },
  {
    name: "restoring ip_forward also puts back what its writing flipped, and keeps what others changed since",
    async run({ kernel, look, interfaceName }) {
      const wanted = sysctl("net/ipv4/ip_forward", "1");
      const watched = ["all/accept_redirects", "all/forwarding", `${interfaceName}/forwarding`, "lo/forwarding"];
      const paths = [...watched.map((name) => `net/ipv4/conf/${name}`), wanted.path];
      const values = async () => [...(await kernel.observe(paths.map(resourceKey.sysctl))).values()];
      const initially = await values();
      // A router that routes on one interface only: switching ip_forward on and off again would lose that.
      await succeed(kernel, [create(sysctl(`net/ipv4/conf/${interfaceName}/forwarding`, "1"))]);
      const before = await values();
      const tree = () => look?.("sh", "-c", "sysctl -a 2>/dev/null | grep ^net.ipv4.conf");
      const treeBefore = await tree();
      const found = (await kernel.found([create(wanted)])).get(wanted.key)!;
      await succeed(kernel, [create(wanted)]);
      const flipped = await values();
      assert.notDeepEqual(flipped, before);
      assert.equal(await kernel.restore(wanted, found), true);
      assert.deepEqual(await values(), before);
      assert.equal(await tree(), treeBefore);

      await succeed(kernel, [create(wanted), create(sysctl("net/ipv4/conf/lo/forwarding", "0"))]);
      assert.equal(await kernel.restore(wanted, found), true);
      assert.equal(((await one(kernel, resourceKey.sysctl("net/ipv4/conf/lo/forwarding"))) as SysctlResource).value, "0");
      await succeed(
        kernel,
        initially.map((resource) => create(resource)),
      );
      assert.deepEqual(await values(), initially);
    },
  },
  {
    name: "a tunnel is made down with both its ends, can change them, and is gone when deleted",
    async run({ kernel, look, own, neighbour, free }) {
      const link = tunnel("trg-9", own, neighbour.address);
      const state = resourceKey.linkState("trg-9");
      await succeed(kernel, [create(link)]);
      assert.deepEqual(await one(kernel, link.key), link);
      assert.equal(((await one(kernel, state)) as LinkStateResource).up, false);
      if (look)
        assert.match(
          await look("ip", "-d", "link", "show", "trg-9"),
          new RegExp(`ipip remote ${neighbour.address} local ${own} `),
        );
      assert.deepEqual(codes(await kernel.apply([create(link)])), ["EEXIST"]);
      const moved = { ...link, remote: free };
      await succeed(kernel, [{ op: "update", from: link, to: moved }]);
      assert.deepEqual(await one(kernel, link.key), moved);
      await succeed(kernel, [remove(moved)]);
      assert.equal(await one(kernel, link.key), undefined);
      if (look) assert.doesNotMatch(await look("ip", "-br", "link"), /trg-9/);
      assert.deepEqual(codes(await kernel.apply([remove(moved)])), ["ENODEV"]);
    },
  },
  {
    name: "a GRE tunnel is told from an IPIP one",
    async run({ kernel, own, neighbour }) {
      const link: LinkResource = { ...tunnel("trg-9g", own, neighbour.address), type: "gre" };
      await succeed(kernel, [create(link)]);
      assert.deepEqual(await one(kernel, link.key), link);
      await succeed(kernel, [remove(link)]);
    },
  },
  {
    name: "a GUE port is opened and closed",
    async run({ kernel, look }) {
      const port: Resource = { kind: "fouPort", key: resourceKey.fouPort(6080), port: 6080 };
      await succeed(kernel, [create({ kind: "module", key: resourceKey.module("fou"), name: "fou" })]);
      assert.equal(await one(kernel, port.key), undefined);
      await succeed(kernel, [create(port)]);
      assert.deepEqual(await one(kernel, port.key), port);
      if (look) assert.match(await look("ip", "fou", "show"), /port 6080 gue/);
      assert.deepEqual(codes(await kernel.apply([create(port)])), ["EADDRINUSE"]);
      await succeed(kernel, [remove(port)]);
      assert.equal(await one(kernel, port.key), undefined);
      if (look) assert.doesNotMatch(await look("ip", "fou", "show"), /6080/);
      assert.deepEqual(codes(await kernel.apply([remove(port)])), ["EINVAL"]);
    },
  },
  {
    name: "a link's state is set and put back; a link that is not there is ENODEV, or nothing when it may be absent",
    async run({ kernel, look, own, neighbour }) {
      const link = tunnel("trg-9", own, neighbour.address);
      const up = linkState("trg-9", true);
      await succeed(kernel, [create(link)]);
      const found = (await kernel.found([create(up)])).get(up.key)!;
      assert.equal(found.value, "down");
      await succeed(kernel, [create(up)]);
      assert.equal(((await one(kernel, up.key)) as LinkStateResource).up, true);
      if (look) assert.match(await look("ip", "link", "show", "trg-9"), /[<,]UP[,>]/);
      assert.equal(await kernel.restore(up, found), true);
      assert.equal(((await one(kernel, up.key)) as LinkStateResource).up, false);
      assert.equal(await kernel.restore(up, found), false);
      await succeed(kernel, [remove(link)]);
      const results = await kernel.apply([create(up), create({ ...linkState("trg-9", false), ifPresent: true })]);
      assert.deepEqual(codes(results), ["ENODEV", "ok"]);
      assert.equal((await kernel.found([create(up)])).get(up.key)!.value, null);
    },
  },
  {
    name: "a service and its destinations are seen as they were made, and a weight changes alone",
    async run({ kernel, look }) {
      const web = service({ scheduler: "wrr" });
      const near = destination({ weight: 3, upperThreshold: 100, lowerThreshold: 50 });
      const far = destination({ address: "198.51.100.9", forward: "tunnel", tunnelType: "gre" });
      const udp = destination({ address: "198.51.100.11", forward: "tunnel", tunnelType: "gue" });
      const routed = destination({ address: "198.51.100.10", port: 8080, forward: "masq" });
      const all = [web, near, far, udp, routed];
      await succeed(kernel, all.map(create));
      assert.deepEqual(await observed(kernel, all), all);
      // ipvsadm prints thresholds only in a list of their own.
      if (look) assert.match(await look("ipvsadm", "-Ln", "--thresholds"), /198\.51\.100\.2:80 +100 +50 /);
      if (look)
        assert.deepEqual(
          (await look("ipvsadm", "-Sn")).trim().split("\n").sort(),
          [
            "-A -t 198.51.100.1:80 -s wrr",
            "-a -t 198.51.100.1:80 -r 198.51.100.10:8080 -m -w 1",
            "-a -t 198.51.100.1:80 -r 198.51.100.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
            "-a -t 198.51.100.1:80 -r 198.51.100.2:80 -g -w 3",
            "-a -t 198.51.100.1:80 -r 198.51.100.9:80 -i -w 1 --tun-type gre --tun-nocsum",
          ].sort(),
        );
      const heavier = { ...far, weight: 7 };
      await succeed(kernel, [{ op: "update", from: far, to: heavier }]);
      assert.deepEqual(await one(kernel, far.key), heavier);
      if (look) assert.match(await look("ipvsadm", "-Sn"), /198\.51\.100\.9:80 -i -w 7 --tun-type gre/);
      await succeed(kernel, [remove(web)]);
      assert.deepEqual(await kernel.observe(all.map(({ key }) => key)), new Map());
      if (look) assert.equal((await look("ipvsadm", "-Sn")).trim(), "");
    },
  },
  {
    name: "persistence, one-packet scheduling and scheduler flags come back as given",
    async run({ kernel, look }) {
      const sticky = service({ flags: ["persistent"], timeoutSeconds: 300, netmask: 24 });
      const packets = service({ protocol: "udp", port: 53, flags: ["onePacket", "sched1", "sched2"], scheduler: "sh" });
      await succeed(kernel, [sticky, packets].map(create));
      assert.deepEqual(await observed(kernel, [sticky, packets]), [sticky, packets]);
      if (look) {
        const text = await look("ipvsadm", "-Sn");
        assert.match(text, /^-A -t 198\.51\.100\.1:80 -s rr -p 300 -M 255\.255\.255\.0$/m);
        assert.match(text, /^-A -u 198\.51\.100\.1:53 -s sh -o -b flag-1,flag-2|-b sh-fallback,sh-port$/m);
      }
      const plain = { ...sticky, flags: [], timeoutSeconds: 0, netmask: 32 };
      await succeed(kernel, [{ op: "update", from: sticky, to: plain }]);
      assert.deepEqual(await one(kernel, sticky.key), plain);
      await succeed(kernel, [plain, packets].map(remove));
    },
  },
  {
    name: "IPv6 services and destinations work as IPv4 ones do",
    async run({ kernel, look }) {
      const web = service({ address: "2001:db8::1", netmask: 128 });
      const near = destination({ service: web.key, address: "2001:db8::2" });
      await succeed(kernel, [web, near].map(create));
      assert.deepEqual(await observed(kernel, [web, near]), [web, near]);
      if (look) assert.match(await look("ipvsadm", "-Sn"), /^-a -t \[2001:db8::1\]:80 -r \[2001:db8::2\]:80 -g -w 1$/m);
      await succeed(kernel, [remove(near), remove(web)]);
    },
  },
  {
    name: "IPVS refuses duplicates, strangers and nonsense by the kernel's own names",
    async run({ kernel }) {
      const web = service();
      const near = destination();
      const results = await kernel.apply([
        create(near),
        create(web),
        create(web),
        create(near),
        create(near),
        { op: "update", from: near, to: destination({ address: "198.51.100.77" }) },
        create(destination({ address: "198.51.100.3", upperThreshold: 1, lowerThreshold: 2 })),
        create(destination({ address: "198.51.100.4", weight: -1 })),
        create(destination({ address: "2001:db8::2" })),
        create(service({ port: 81, scheduler: "nosuch" })),
        remove(destination({ address: "198.51.100.77" })),
        remove(web),
        remove(web),
        { op: "update", from: web, to: web },
      ]);
      assert.deepEqual(codes(results), [
        ...["ESRCH", "ok", "EEXIST", "ok", "EEXIST", "ENOENT", "ERANGE", "EINVAL", "EINVAL", "ENOENT", "ENOENT"],
        ...["ok", "ESRCH", "ESRCH"],
      ]);
    },
  },
  {
    name: "an observation answers exactly the keys asked for, however many",
    async run({ kernel }) {
      const services = Array.from({ length: 100 }, (_, index) => service({ port: 1000 + index }));
      const destinations = services.flatMap(({ key, port }) =>
        [2, 3].map((last) => destination({ service: key, address: `198.51.100.${last}`, port })),
      );
      await succeed(kernel, [...services, ...destinations].map(create));
      const asked = [...services.slice(0, 60), ...destinations.filter((_, index) => index % 2 === 0)];
      assert.deepEqual(await observed(kernel, asked), asked);
      const few = [services[7]!, destinations[20]!];
      assert.deepEqual(await observed(kernel, few), few);
      const all = await kernel.observeAll([resourceKey.module("ip_vs")]);
      for (const resource of [...services, ...destinations]) assert.deepEqual(all.get(resource.key), resource);
      assert.ok(all.has(resourceKey.module("ip_vs")));
      await succeed(kernel, services.map(remove));
    },
  },
  {
    name: "counters are keyed as resources are",
    async run({ kernel }) {
      const web = service();
      const near = destination({ weight: 4 });
      await succeed(kernel, [web, near].map(create));
      const { services, destinations } = await kernel.counters();
      assert.deepEqual(services.get(web.key), { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 });
      assert.equal(destinations.get(near.key)?.weight, 4);
      assert.equal(destinations.get(near.key)?.active, 0);
      await succeed(kernel, [remove(web)]);
    },
  },
  {
    name: "a VIP on lo is bound once and unbound once",
    async run({ kernel, look }) {
      const vip = vipOnLoopback();
      await succeed(kernel, [create(vip)]);
      assert.deepEqual(await one(kernel, vip.key), vip);
      if (look) assert.match(await look("ip", "-br", "addr", "show", "lo"), /198\.51\.100\.1\/32/);
      assert.deepEqual(codes(await kernel.apply([create(vip)])), ["EEXIST"]);
      await succeed(kernel, [remove(vip)]);
      assert.deepEqual(codes(await kernel.apply([remove(vip)])), ["EADDRNOTAVAIL"]);
      const nowhere = { ...vip, interface: "trg-9", key: resourceKey.address("trg-9", vip.address, 32) };
      assert.deepEqual(codes(await kernel.apply([create(nowhere)])), ["ENODEV"]);
    },
  },
  {
    name: "an IPv6 VIP serves at once, and is not the source of the machine's own packets",
    async run({ kernel, look, interfaceName }) {
      const key = resourceKey.address(interfaceName, "2001:db8::1", 128);
      const vip: AddressResource = {
        kind: "address",
        key,
        interface: interfaceName,
        address: "2001:db8::1",
        prefix: 128,
        purpose: "vipOnDirector",
      };
      await succeed(kernel, [create(vip)]);
      assert.deepEqual(await one(kernel, key), vip);
      if (look) {
        const shown = await look("ip", "-6", "addr", "show", "dev", interfaceName, "to", "2001:db8::1");
        assert.doesNotMatch(shown, /tentative/);
        assert.match(shown, /deprecated/);
      }
      await succeed(kernel, [remove(vip)]);
    },
  },
  {
    name: "a tunnel's own address is told from a VIP, and goes with the tunnel",
    async run({ kernel, own, neighbour }) {
      const link = tunnel("trg-9", own, neighbour.address);
      const key = resourceKey.address("trg-9", "169.254.1.9", 32);
      const address: AddressResource = {
        kind: "address",
        key,
        interface: "trg-9",
        address: "169.254.1.9",
        prefix: 32,
        purpose: "tunnel",
      };
      await succeed(kernel, [create(link), create(address)]);
      assert.deepEqual(await one(kernel, key), address);
      await succeed(kernel, [remove(link)]);
      assert.equal(await one(kernel, key), undefined);
    },
  },
  {
    name: "a probe tells who holds an address, and nobody where nobody does",
    async run({ kernel, interfaceName, neighbour, free }) {
      assert.deepEqual(await kernel.probe(interfaceName, neighbour.address), [{ mac: neighbour.mac }]);
      assert.deepEqual(await kernel.probe(interfaceName, free), []);
      await assert.rejects(kernel.probe("trg-9", free), { code: "ENODEV" });
    },
  },
  {
    name: "a director binds a VIP that nobody holds, and not one that somebody does",
    async run({ kernel, look, interfaceName, neighbour, free }) {
      const vip = vipOnDirector(interfaceName, free);
      const held = vipOnDirector(interfaceName, neighbour.address);
      const results = await kernel.apply([create(vip), create(held)]);
      assert.deepEqual(codes(results), ["ok", "vip.heldElsewhere"]);
      assert.match((results[1] as { failure: { message: string } }).failure.message, new RegExp(neighbour.mac));
      assert.deepEqual(await observed(kernel, [vip]), [vip]);
      assert.equal(await one(kernel, held.key), undefined);
      if (look) assert.match(await look("ip", "-br", "addr", "show", interfaceName), new RegExp(`${free}/32`));
      assert.deepEqual(await kernel.probe(interfaceName, free), []);
      await kernel.announce(interfaceName, free);
      await succeed(kernel, [remove(vip)]);
    },
  },
  {
    name: "rules stand in their order in a chain of ours, come back as given, and chain and jump go with the last",
    async run({ kernel, look }) {
      const drop = rule({ id: "drop:trg-9", order: 900, match: ["-i", "trg-9", "-j", "DROP"] });
      const accept = rule({ id: "accept:trg-9:198.51.100.1:tcp:80", order: 100, match: acceptWords("80") });
      const other = rule({ id: "accept:trg-9:198.51.100.1:tcp:81", order: 100, match: acceptWords("81") });
      await succeed(kernel, [create(drop), create(other)]);
      await succeed(kernel, [create(accept)]);
      assert.deepEqual(await observed(kernel, [accept, drop, other]), [accept, drop, other]);
      const saved = async () => look?.(`iptables-${(await kernel.facts()).iptables}-save`, "-t", "raw");
      if (look) {
        const lines = (await saved())!.split("\n").filter((line) => line.startsWith("-A"));
        assert.equal(lines[0], "-A PREROUTING -j TRIGON-PREROUTING");
        assert.deepEqual(
          lines.slice(1).map((line) => /trigon:([^@"]+)/.exec(line)?.[1]),
          [accept.id, other.id, drop.id],
        );
      }
      const changed = { ...other, match: acceptWords("82") };
      await succeed(kernel, [{ op: "update", from: other, to: changed }]);
      assert.deepEqual(await one(kernel, other.key), changed);
      assert.deepEqual(codes(await kernel.apply([create(drop)])), ["EEXIST"]);
      await succeed(kernel, [remove(changed), remove(accept)]);
      assert.deepEqual(codes(await kernel.apply([remove(accept)])), ["ENOENT"]);
      await succeed(kernel, [remove(drop)]);
      if (look) assert.doesNotMatch((await saved())!, /TRIGON/);
    },
  },
  {
    name: "a rule that cannot be fails alone, in its own table and beside those of others",
    async run({ kernel, look }) {
      if (!look) return; // only a real kernel knows what a rule means
      const wrong = rule({ id: "wrong", order: 50, match: ["-p", "tcp", "-m", "tcp", "--dport", "no-such-port", "-j", "DROP"] });
      const beside = rule({ id: "beside", match: acceptWords("80") });
      const before = rule({ table: "mangle", hook: "OUTPUT", id: "before", match: ["-s", "198.51.100.1/32"] });
      const after = rule({ table: "filter", hook: "INPUT", id: "after", match: ["-s", "198.51.100.1/32", "-j", "DROP"] });
      const rules = [before, wrong, beside, after];
      await kernel.observe(rules.map(({ key }) => key)); // what was just read is built upon
      const results = await kernel.apply(rules.map(create));
      assert.deepEqual(
        results.map(({ ok }) => ok),
        [true, false, true, true],
      );
      assert.equal(await one(kernel, wrong.key), undefined);
      assert.deepEqual(await observed(kernel, [before, beside, after]), [before, beside, after]);
      await succeed(kernel, [before, beside, after].map(remove));
      assert.doesNotMatch(await look(`iptables-${(await kernel.facts()).iptables}-save`), /TRIGON/);
    },
  },
  {
    name: "every kind of rule that services need comes back word for word",
    async run({ kernel, look }) {
      const ipvs = ["-m", "ipvs", "--vproto", "6", "--vaddr", "198.51.100.1/32", "--vport", "80"];
      const place = { table: "nat", hook: "POSTROUTING", order: 100 } as const;
      const rules = [
        rule({ ...place, id: "snat:vs_1", match: [...ipvs, "-j", "SNAT", "--to-source", "198.51.100.1"] }),
        rule({ ...place, id: "snat:vs_2:198.51.100.2", match: ["-d", "198.51.100.2/32", ...ipvs, "-j", "MASQUERADE"] }),
        rule({
          id: "notrack:vs_1",
          order: 50,
          match: ["-d", "198.51.100.1/32", "-p", "udp", "-m", "udp", "--dport", "53", "-j", "CT", "--notrack"],
        }),
        rule({
          id: "accept:trg-9:unreachable",
          match: ["-d", "198.51.100.1/32", "-i", "trg-9", "-p", "icmp", "-m", "icmp", "--icmp-type", "3", "-j", "RETURN"],
        }),
        rule({
          id: "forgery:ipip:9",
          order: 10,
          match: ["-s", "198.51.100.9/32", "-p", "4", "-m", "mac", "!", "--mac-source", "02:00:00:00:00:09", "-j", "DROP"],
        }),
        rule({
          family: 6,
          table: "mangle",
          hook: "OUTPUT",
          id: "account:vs_6",
          match: ["-s", "2001:db8::1/128", "-p", "tcp", "-m", "tcp", "--sport", "80"],
        }),
        rule({
          table: "mangle",
          hook: "OUTPUT",
          id: "account:vs_1",
          match: ["-s", "198.51.100.1/32", "-p", "tcp", "-m", "tcp", "--sport", "80"],
        }),
      ];
      await succeed(kernel, rules.map(create));
      assert.deepEqual(await observed(kernel, rules), rules);
      assert.deepEqual((await kernel.counters()).rules.get(rules.at(-1)!.key), { packets: 0, bytes: 0 });
      const all = await kernel.observeAll([]);
      assert.deepEqual(
        rules.map(({ key }) => all.get(key)),
        rules,
      );
      await succeed(kernel, rules.map(remove));
      if (look) assert.doesNotMatch(await look(`iptables-${(await kernel.facts()).iptables}-save`), /TRIGON/);
    },
  },
  {
    name: "a rule that no kernel takes fails alone",
    async run({ kernel }) {
      const good = rule({ id: "good", match: ["-i", "trg-9", "-j", "DROP"] });
      const bad = rule({ id: "bad", match: ["-i", "trg-9", "-j", "NOSUCHTARGET"] });
      const results = await kernel.apply([create(bad), create(good)]);
      assert.deepEqual(codes(results), ["ENOENT", "ok"]);
      assert.deepEqual(await observed(kernel, [good]), [good]);
      await succeed(kernel, [remove(good)]);
    },
  },
  {
    name: "watchers hear of addresses that come, by key",
    async run({ kernel }) {
      const vip = vipOnLoopback();
      const events: KernelEvent[] = [];
      const watch = kernel.watch((event) => events.push(event));
      await succeed(kernel, [create(vip)]);
      await until(() => events.some(({ scope, keys }) => scope === "address" && (keys.includes(vip.key) || keys.length === 0)));
      watch.close();
      await succeed(kernel, [remove(vip)]);
    },
  },
  {
    name: "watchers hear that rules changed where the back end is nft",
    async run({ kernel }) {
      if ((await kernel.facts()).iptables !== "nft") return;
      const drop = rule({ id: "drop:trg-9", order: 900, match: ["-i", "trg-9", "-j", "DROP"] });
      const events: KernelEvent[] = [];
      const watch = kernel.watch((event) => events.push(event));
      // Listening begins when the back end is known: what counts is that the last change is heard.
      await succeed(kernel, [create(drop)]);
      await succeed(kernel, [remove(drop)]);
      await until(() => events.some(({ scope }) => scope === "filter"));
      watch.close();
    },
  },
  {
    name: "a run of mixed actions is carried out in its order, one result for each",
    async run({ kernel }) {
      const web = service();
      const near = destination();
      const vip = vipOnLoopback();
      const results = await kernel.apply([
        create(web),
        create(vip),
        create(near),
        remove(near),
        remove(vip),
        remove(vip),
        remove(web),
      ]);
      assert.deepEqual(codes(results), ["ok", "ok", "ok", "ok", "ok", "EADDRNOTAVAIL", "ok"]);
    },
  },
  {
    name: "11,000 services and destinations go in by one call, and every one is there",
    async run({ kernel, look }) {
      const services = Array.from({ length: 1000 }, (_, index) => service({ port: 1000 + index }));
      const all: Resource[] = services.flatMap((web) => [
        web,
        ...Array.from({ length: 10 }, (_, last) =>
          destination({ service: web.key, address: `198.51.100.${10 + last}`, port: web.port }),
        ),
      ]);
      assert.deepEqual(await kernel.observe(all.map(({ key }) => key)), new Map());
      await succeed(kernel, all.map(create));
      assert.equal((await kernel.observe(all.map(({ key }) => key))).size, 11_000);
      if (look) assert.equal((await look("ipvsadm", "-Sn")).trim().split("\n").length, 11_000);
      await succeed(kernel, services.map(remove));
    },
  },
];

const create = (to: Resource): Action => ({ op: "create", to });
const remove = (from: Resource): Action => ({ op: "delete", from });

const codes = (results: readonly ActionResult[]): string[] => results.map((result) => (result.ok ? "ok" : result.failure.code));

async function succeed(kernel: Kernel, actions: readonly Action[]): Promise<void> {
  const results = await kernel.apply(actions);
  assert.equal(results.length, actions.length);
  for (const result of results) assert.ok(result.ok, result.ok ? "" : result.failure.message);
}

const one = async (kernel: Kernel, key: string): Promise<Resource | undefined> => (await kernel.observe([key])).get(key);

/** What stands under the keys of these resources, in their order; nothing else may be answered. */
async function observed(kernel: Kernel, resources: readonly Resource[]): Promise<(Resource | undefined)[]> {
  const found = await kernel.observe(resources.map(({ key }) => key));
  assert.equal(found.size, resources.length);
  return resources.map(({ key }) => found.get(key));
}

async function until(isTrue: () => boolean, deadlineMs = 3000): Promise<void> {
  for (const deadline = Date.now() + deadlineMs; !isTrue(); ) {
    assert.ok(Date.now() < deadline, `nothing of the kind in ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const module = (name: string): ModuleResource => ({ kind: "module", key: resourceKey.module(name), name });
const sysctl = (path: string, value: string): SysctlResource => ({ kind: "sysctl", key: resourceKey.sysctl(path), path, value });
const linkState = (name: string, up: boolean): LinkStateResource => ({
  kind: "linkState",
  key: resourceKey.linkState(name),
  name,
  up,
});

function tunnel(name: string, local: string, remote: string): LinkResource {
  return { kind: "link", key: resourceKey.link(name), name, type: "ipip", local, remote };
}

/** Of the documentation block 198.51.100.0/24 (RFC 5737): nothing in a lab has such an address. */
function service(fields: Partial<Omit<IpvsServiceResource, "kind" | "key">> = {}): IpvsServiceResource {
  const { protocol = "tcp", address = "198.51.100.1", port = 80 } = fields;
  const rest = { scheduler: "rr", flags: [], timeoutSeconds: 0, netmask: 32 };
  return {
    kind: "ipvsService",
    key: resourceKey.ipvsService(protocol, address, port),
    protocol,
    address,
    port,
    ...rest,
    ...fields,
  };
}

function destination(fields: Partial<Omit<IpvsDestinationResource, "kind" | "key">> = {}): IpvsDestinationResource {
  const { service: owner = service().key, address = "198.51.100.2", port = 80 } = fields;
  const rest = { forward: "droute", weight: 1, upperThreshold: 0, lowerThreshold: 0, tunnelType: "ipip" } as const;
  return {
    kind: "ipvsDestination",
    key: resourceKey.ipvsDestination(owner, address, port),
    service: owner,
    address,
    port,
    ...rest,
    ...fields,
  };
}

function vipOnLoopback(): AddressResource {
  const key = resourceKey.address("lo", "198.51.100.1", 32);
  return { kind: "address", key, interface: "lo", address: "198.51.100.1", prefix: 32, purpose: "vipOnLoopback" };
}

function vipOnDirector(name: string, address: string): AddressResource {
  const key = resourceKey.address(name, address, 32);
  return { kind: "address", key, interface: name, address, prefix: 32, purpose: "vipOnDirector" };
}

function rule(fields: Pick<FilterRuleResource, "id" | "match"> & Partial<FilterRuleResource>): FilterRuleResource {
  const place = { family: 4, table: "raw", hook: "PREROUTING", ...fields } as const;
  return { kind: "filterRule", order: 100, ...place, key: resourceKey.filterRule(place) };
}

const acceptWords = (port: string) => [
  "-d",
  "198.51.100.1/32",
  "-i",
  "trg-9",
  "-p",
  "tcp",
  "-m",
  "tcp",
  "--dport",
  port,
  "-j",
  "RETURN",
];
