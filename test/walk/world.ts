import { differences, type HttpAnswer, type Lab, type LabHost, type Snapshot, snapshot, until, useRealFrames } from "@trigon/lab";
import type { VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { demoNodes } from "../../infra/demo/services.ts";
import { deleteService, patchService, type TestWorld } from "../product/use-world.ts";
import { addressesOf, foreignLine, isLive, tableOf, vips, type WalkService, wrongWith } from "./spec.ts";

const hosts = demoNodes.map(({ host }) => host);

/** The lab that is walked through: the spec so far, the API that says it to Trigon, and the tools that show what came of it. */
export class WalkWorld {
  readonly services: WalkService[] = [];
  isForeignThere = false;
  readonly #world: TestWorld;
  readonly #ids = new Map<string, string>();
  readonly #found = new Map<string, Snapshot>();

  constructor(world: TestWorld) {
    this.#world = world;
  }

  get lab(): Lab {
    return this.#world.lab;
  }

  host(name: string): LabHost {
    return this.#world.lab.host(name);
  }

  /** Notes how every host is before anything is asked for. */
  async begin(): Promise<void> {
    const modules = "ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc nf_conntrack xt_ipvs ipip";
    // Kernel modules stay by design, and with them their settings and fallback devices: they are there before the snapshots.
    await this.host("dir1").sh(`modprobe -a ${modules}`, { allowFailure: true });
    await useRealFrames(this.lab);
    for (const name of hosts) this.#found.set(name, await snapshot(this.host(name)));
  }

  async create(service: WalkService): Promise<void> {
    const { id } = await this.#world.api.call<VirtualServiceView>("POST", "/virtual-services", {
      ...this.#input(service),
      realServers: service.realServers.map(({ rip, port, weight }) => ({ rip, port, weight })),
    });
    this.#ids.set(service.name, id);
    this.services.push(service);
  }

  async remove(service: WalkService): Promise<void> {
    await deleteService(this.#world.api, this.#id(service));
    this.services.splice(this.services.indexOf(service), 1);
  }

  /** Changes the spec of a service, and tells Trigon. */
  async change(service: WalkService, change: Partial<Omit<WalkService, "name">>): Promise<void> {
    const id = this.#id(service);
    const { realServers: known } = await this.#world.api.call<VirtualServiceView>("GET", `/virtual-services/${id}`);
    Object.assign(service, change);
    await patchService(this.#world.api, id, {
      ...this.#input(service),
      realServers: service.realServers.map(({ rip, port, weight }) => {
        const before = known.find((one) => one.rip === rip && (one.port ?? service.port) === port);
        return { ...(before && { id: before.id }), rip, port, weight };
      }),
    });
  }

  #input({ name, vip, port, forwarding, scheduler, enabled }: WalkService): VirtualServiceInput {
    return { name, vip, port, forwarding, scheduler, enabled } as VirtualServiceInput;
  }

  #id({ name }: WalkService): string {
    return this.#ids.get(name)!;
  }

  /** What the kernels hold otherwise than the spec says; packets are tried when nothing else is wrong. */
  async disagreements(): Promise<string[]> {
    const wrong: string[] = [];
    // The service by which Trigon proves the real path has a mark and no address.
    const tables = await this.host("dir1").sh("ipvsadm -Sn", { allowFailure: true });
    const lines = tables.split("\n").filter((line) => line !== "" && !line.includes(" -f "));
    const wanted = tableOf(this.services, this.isForeignThere);
    for (const line of lines) if (!wanted.includes(line)) wrong.push(`dir1 has ${line}`);
    for (const line of wanted) if (!lines.includes(line)) wrong.push(`dir1 lacks ${line}`);
    return wrong.length > 0 ? wrong : this.#addresses();
  }

  async #addresses(): Promise<string[]> {
    type Link = { ifname: string; flags: string[]; addr_info: { local: string }[] };
    const addresses = await Promise.all(hosts.map((name) => this.host(name).json<Link[]>(["ip", "-j", "addr"])));
    const wrong: string[] = [];
    for (const [at, name] of hosts.entries()) {
      const links = addresses[at]!;
      const own = links
        .flatMap(({ addr_info }) => addr_info.map(({ local }) => local))
        .filter((address) => vips.includes(address));
      const expected = addressesOf(name, this.services);
      if (String([...new Set(own)].sort()) !== String(expected)) wrong.push(`${name} holds ${own} and not ${expected}`);
      for (const { ifname, flags } of links)
        if (ifname.startsWith("trg-") && !flags.includes("UP")) wrong.push(`${ifname} of ${name} is down`);
    }
    return wrong.length > 0 ? wrong : this.#packets();
  }

  /** One request to each service that shall answer, by one curl. */
  async #packets(): Promise<string[]> {
    const live = this.services.filter(isLive);
    if (live.length === 0) return [];
    const urls = live.map(({ vip, port }) => `http://${vip}:${port}/`);
    const { stdout } = await this.host("client").exec(["curl", "-s", "-0", "-m", "4", "-w", "%{urlnum}\n", ...urls]);
    const answers = new Map<number, HttpAnswer>();
    let answer: HttpAnswer | undefined;
    for (const line of stdout.split("\n").filter(Boolean)) {
      if (line.startsWith("{")) answer = JSON.parse(line);
      else {
        if (answer) answers.set(Number(line), answer);
        answer = undefined;
      }
    }
    return live.flatMap((service, at) => wrongWith(service, answers.get(at)) ?? []);
  }

  /** Waits until all agrees with the spec, and until `isRight` too. */
  async agrees(isRight: () => Promise<boolean>, deadlineMs: number): Promise<void> {
    let wrong: string[] = [];
    await until(
      "kernels and packets to agree with the spec",
      async () => {
        wrong = (await isRight()) ? await this.disagreements() : ["what was changed by hand is still so"];
        return wrong.length === 0;
      },
      { deadlineMs, everyMs: 200 },
    ).catch((error) => {
      throw new Error(`${error.message}: ${wrong.join("; ")}`);
    });
  }

  /** Takes everything away, then Trigon itself from every host; answers what is not as it was found. */
  async end(): Promise<string[]> {
    for (const service of [...this.services]) await this.remove(service);
    if (this.isForeignThere) await this.host("dir1").sh(foreignLine.replace("-A", "ipvsadm -D").replace(/ -s .*/, ""));
    this.isForeignThere = false;
    await this.agrees(async () => true, 120_000);
    await Promise.all(hosts.map((name) => this.host(name).sh("trigon-agent uninstall", { timeoutMs: 120_000 })));
    const left: string[] = [];
    for (const name of hosts) {
      const now = await snapshot(this.host(name));
      left.push(...differences(this.#found.get(name)!, now).map((line) => `${name}: ${line}`));
      const files = await this.host(name).sh("ls -d /opt/trigon /var/lib/trigon /etc/trigon", { allowFailure: true });
      if (files !== "") left.push(`${name}: ${files}`);
    }
    return left;
  }
}
