import { capture, fetchAnswers, type LabHost, runLoad, startLoad, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, holds, installAgent, macOf, startAgent } from "./agent.ts";
import { areKnown } from "./pair-traffic.ts";
import { useLab } from "./use-lab.ts";

const held = 10;
/** The NAT real servers' way back: it moves with the first group's VIP. */
const gateway = "10.4.0.254";
const directors = [
  { name: "dir1", address: "10.2.0.11" },
  { name: "dir2", address: "10.2.0.12" },
] as const;
type Director = (typeof directors)[number]["name"];
const other = (name: Director): Director => (name === "dir1" ? "dir2" : "dir1");
const groups = {
  left: {
    ...{ groupId: "dg_1", virtualRouterId: 51, vip: "10.2.0.100", moving: [gateway] },
    parts: fragmentsOf({
      ...{ vip: "10.2.0.100", name: "left", forwarding: "nat" },
      realServers: ["10.4.0.25", "10.4.0.26"].map((rip, index) => ({ host: `rs${5 + index}`, rip, port: 8080 })),
    }),
  },
  right: {
    ...{ groupId: "dg_2", virtualRouterId: 52, vip: "10.2.0.101", moving: [] as string[] },
    parts: fragmentsOf({
      ...{ vip: "10.2.0.101", name: "right", forwarding: "dr" },
      realServers: ["10.2.0.21", "10.2.0.22"].map((rip, index) => ({ host: `rs${1 + index}`, rip })),
    }),
  },
};
type Group = keyof typeof groups;
const names = Object.keys(groups) as Group[];

/** Who holds each group's VIPs. */
type Where = Readonly<Record<Group, Director>>;
/** Who shall hold each group's VIPs, and the generation in which that was said. */
type Wish = Readonly<Record<Group, { nodeId: Director; generation: number } | null>>;
const nobody: Wish = { left: null, right: null };
const apart = { left: "dir1", right: "dir2" } as const satisfies Where;
const together = { left: "dir2", right: "dir2" } as const satisfies Where;

/** The controller's words for two groups of the same members: what one director's plan holds. */
function planOf(name: Director, wish: Wish): object[] {
  const own = directors.find((director) => director.name === name)!;
  const others = directors.filter((director) => director !== own);
  return names.flatMap((group) => {
    const { groupId, virtualRouterId, vip, moving, parts } = groups[group];
    const priority = (member: Director) => (member === apart[group] ? 200 : 190);
    const floating = moving.map((address) => ({ id: `dv:${address}`, kind: "director.vip", vip: address, heldBy: "vrrp" }));
    const part = {
      ...{ id: `dg:${groupId}`, kind: "director.group", groupId, name: group, virtualRouterId, advertMs: 100, preempt: false },
      ...{ interface: null, peers: "unicast", priority: priority(name), addresses: [own.address], preferred: wish[group] },
      others: others.map((one) => ({
        ...{ nodeId: one.name, name: one.name, priority: priority(one.name), addresses: [one.address] },
      })),
      vips: [vip, ...moving],
    };
    return [parts.service, { ...parts.vip, heldBy: "vrrp" }, ...floating, part];
  });
}

describe("two groups of the same directors, each active on another", { timeout: 300_000 }, () => {
  const lab = useLab();
  const host = (name: string): LabHost => lab.host(name);
  const client = () => host("client");

  beforeAll(async () => {
    await installAgent(host("dir1"), host("dir2"));
    const silent = "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2";
    for (const name of ["rs1", "rs2"]) await host(name).sh(`${silent}; ip addr add ${groups.right.vip}/32 dev lo`);
    for (const name of ["rs5", "rs6"]) await host(name).sh(`ip route replace default via ${gateway}`);
    for (const { name } of directors) {
      await applyPlan(host(name), planOf(name, nobody));
      await startAgent(host(name));
    }
    // Who was there first has both by now; as the controller does, only who is fit is asked.
    const isFit = async () => (await wanted("dir2", "right")) >= 0;
    await until("dir2 to be fit", isFit, { deadlineMs: 60_000 });
    await ask({ left: null, right: { nodeId: "dir2", generation: 6 } });
    await settled(apart);
  }, 300_000);

  /** By `ip`: who has an address bound now. */
  const holders = async (address: string) => {
    const bound = await Promise.all(directors.map(async ({ name }) => ((await holds(host(name), address)) ? [name] : [])));
    return bound.flat().join();
  };
  const wanted = async (name: Director, group: Group) =>
    Number(await host(name).sh(`cat /var/lib/trigon/vrrp/track/${groups[group].groupId}`, { allowFailure: true }));
  const ask = (wish: Wish) => Promise.all(directors.map(({ name }) => applyPlan(host(name), planOf(name, wish))));
  /** Waits until each group's addresses are where they shall be; throws with what members want and were when they are not. */
  async function heldBy(where: Where): Promise<void> {
    for (const group of names)
      for (const address of [groups[group].vip, ...groups[group].moving]) {
        const isThere = async () => (await holders(address)) === where[group];
        await until(`${where[group]} alone to hold ${address}`, isThere, { deadlineMs: 60_000, everyMs: 100 }).catch(
          async (error) => {
            const said = directors.map(async ({ name }) => {
              const files = "cd /var/lib/trigon/vrrp; grep -H . track/* roles.json intake.json; ip -o -4 addr show";
              return `${name}: ${await host(name).sh(files, { allowFailure: true })}`;
            });
            throw new Error((await Promise.all(said)).join("\n"), { cause: error });
          },
        );
      }
  }
  /** … and the other member could take over. */
  async function settled(where: Where): Promise<void> {
    await heldBy(where);
    for (const group of names)
      for (const { name } of directors) {
        const value = name === where[group] ? 50 : 0;
        await until(`${name} to be fit for ${group}`, async () => (await wanted(name, group)) === value, { deadlineMs: 60_000 });
      }
  }
  /** Where a NAT real server finds its gateway, by its own kernel. */
  const neighbour = async () =>
    (await host("rs5").json<{ lladdr?: string }[]>(["ip", "-j", "neigh", "show", gateway]))[0]?.lladdr;

  /** From whom a real server gets a group's packets: the MAC by which the holder sent them. */
  async function expectServedBy(where: Where): Promise<void> {
    for (const [group, server, port, ifname] of [
      ["left", "rs5", 8080, "eth1"],
      ["right", "rs1", 80, "eth0"],
    ] as const) {
      const seen = await capture(host(server), `dst port ${port} and tcp[tcpflags] == tcp-syn`, "eth0");
      await fetchAnswers(client(), `${groups[group].vip}:80`, { count: 4 });
      const { line } = await seen.waitFor(/Flags \[S\]/);
      await seen.stop();
      expect(line.split(" ")[0]).toBe(await macOf(lab, where[group], ifname));
    }
    expect(await neighbour()).toBe(await macOf(lab, where.left, "eth1"));
  }

  /**
   * Does something while each VIP has connections that are held and new ones; answers how many held ones of each group were lost, and how many of
   * the new ones failed that were begun after all was where it shall be.
   */
  async function under(from: Where, act: () => Promise<unknown>, to: Where) {
    const loads = await Promise.all(
      names.map(async (group) => {
        const { vip } = groups[group];
        const load = await startLoad(client(), { targets: [`${vip}:80`], rate: 5, held });
        const peer = other(from[group]);
        await until(`${peer} to know connections of ${group}`, () => areKnown(client(), host(peer), [vip], held), {
          deadlineMs: 30_000,
        });
        return { group, load };
      }),
    );
    await act();
    await heldBy(to);
    // A connection that is silent for three seconds is one that was lost: so long new ones are made.
    const after = await runLoad(client(), { targets: names.map((group) => `${groups[group].vip}:80`), seconds: 5, rate: 10 });
    const seen = { left: 0, right: 0, newFailed: after.failed };
    for (const { group, load } of loads) seen[group] = (await load.stop()).heldFailed;
    console.log(
      `held ones lost: ${seen.left} and ${seen.right} of ${held}; new ones: ${after.failed} of ${after.started} failed`,
    );
    return seen;
  }
  const nothingLost = { left: 0, right: 0, newFailed: 0 };

  test("each director serves one of them, with one pair of daemons for both", async () => {
    await expectServedBy(apart);
    for (const { name } of directors) {
      const daemons = (await host(name).sh("ipvsadm -Ln --daemon")).split("\n").filter(Boolean);
      expect(daemons).toHaveLength(2);
      expect(await host(name).sh("pgrep -xc keepalived")).toBe("2");
    }
  });

  test("a planned move of one group moves its VIP and its gateway, and nothing of the other", async () => {
    const wish = (generation: number, nodeId: Director): Wish => ({
      left: { nodeId, generation },
      right: { nodeId: "dir2", generation: 6 },
    });
    expect(await under(apart, () => ask(wish(7, "dir2")), together)).toEqual(nothingLost);
    await expectServedBy(together);
    await settled(together);
    expect(await under(together, () => ask(wish(8, "dir1")), apart)).toEqual(nothingLost);
    await expectServedBy(apart);
    await settled(apart);
  });

  test("a director that loses power leaves its group to the other, with its connections and its gateway", async () => {
    const cut = async () => {
      // Its kernel would go on for a moment: namespaces take their time to go.
      await host("dir1").sh("ip link set eth0 down; ip link set eth1 down");
      await lab.rebuildHost("dir1");
    };
    expect(await under(apart, cut, together)).toEqual(nothingLost);
    await expectServedBy(together);
    // Who comes back takes nothing away from who serves.
    const load = await startLoad(client(), { targets: names.map((group) => `${groups[group].vip}:80`), rate: 10, held });
    await startAgent(host("dir1"));
    await settled(together);
    const { failed, heldFailed } = await load.stop();
    expect({ failed, heldFailed }).toEqual({ failed: 0, heldFailed: 0 });
    await expectServedBy(together);
  });
});
