import { networkInterfaces } from "node:os";
import { setImmediate as turn } from "node:timers/promises";
import { type Probe, type ProbeResult, probe as realProbe, type Target, type Through, unable } from "@trigon/health";
import { openVipCheckPort, type PathDestination, type VipCheckPort } from "@trigon/kernel";
import { type Facts, vipCheck } from "@trigon/model";
import { sourceToward } from "@trigon/planner";
import { reasonOf } from "../log.ts";

/** The kernel remembers for at most so long which real server a port's connection went to. */
const forgottenMs = 15 * 60_000;
const pairs = Math.floor((vipCheck.lastPort - vipCheck.firstPort + 1) / 2);
/** How long it is taken for granted which addresses this machine holds. */
const addressesMs = 1_000;

interface Ports {
  first: number;
  tries: number;
  usedAt: number;
}

export interface VipChecksOptions {
  facts(): Facts | null;
  /** Given in tests. */
  port?: VipCheckPort;
  probe?: Probe;
}

/**
 * Probes that reach a VIP through one real server: the kernel is told where the connection goes just while it begins. Others are made as ever. Each
 * way has two source ports of its own, used in turn, since the kernel remembers where a port's last connection went.
 */
export class VipChecks {
  readonly #options: VipChecksOptions;
  readonly #probe: Probe;
  #port: VipCheckPort | undefined;
  readonly #ports = new Map<string, Ports>();
  /** Pairs that were never taken. */
  #nextPair = 0;
  #held: { addresses: ReadonlySet<string>; at: number } | undefined;

  constructor(options: VipChecksOptions) {
    this.#options = options;
    this.#probe = options.probe ?? realProbe;
    this.#port = options.port;
  }

  readonly probe: Probe = (target, check) =>
    target.through ? this.#through(target, target.through, check) : this.#probe(target, check);

  async close(): Promise<void> {
    await this.#port?.close();
  }

  async #through(target: Target, through: Through, check: Parameters<Probe>[1]): Promise<ProbeResult> {
    const { rip, port } = target;
    const { vip, forwarding, encapsulation } = through;
    if (forwarding !== "dr" && forwarding !== "tun") return unable("By NAT, a real server sees its own address only");
    if (!this.#holds(vip)) return unable("This director does not hold the VIP now");
    const facts = this.#options.facts();
    const address = facts && sourceToward(rip, facts)?.address;
    if (!address) return unable(`This director has no address toward ${rip}`);
    const from = this.#take(`${rip} ${vip} ${port} ${forwarding} ${encapsulation}`);
    if (from === undefined) return unable(`A director checks at most ${pairs} real servers by VIP`);
    const destination: PathDestination = {
      address: rip,
      port: 0,
      forward: forwarding === "dr" ? "droute" : "tunnel",
      tunnelType: encapsulation,
    };
    let result: Promise<ProbeResult> | undefined;
    try {
      this.#port ??= openVipCheckPort();
      await this.#port.aim(destination, async () => {
        result = this.#probe({ ...target, through: { ...through, from: { address, port: from } } }, check);
        await turn(); // by then the connection's first packet was sent
      });
    } catch (error) {
      await result;
      return unable(`The kernel could not be told where to send a check: ${reasonOf(error)}`);
    }
    return result!;
  }

  /** The next source port of a way; undefined while all are in use or not forgotten yet. */
  #take(way: string): number | undefined {
    const now = performance.now();
    let ports = this.#ports.get(way);
    if (!ports) {
      const first = this.#freePair(now);
      if (first === undefined) return undefined;
      ports = { first, tries: 0, usedAt: now };
    }
    // Set anew: the least lately used come first.
    this.#ports.delete(way);
    this.#ports.set(way, ports);
    ports.usedAt = now;
    return ports.first + (ports.tries++ % 2);
  }

  #freePair(now: number): number | undefined {
    if (this.#nextPair < pairs) return vipCheck.firstPort + 2 * this.#nextPair++;
    const [oldest] = this.#ports;
    if (!oldest || now - oldest[1].usedAt < forgottenMs) return undefined;
    this.#ports.delete(oldest[0]);
    return oldest[1].first;
  }

  /** Whether an address is bound here: a probe to one that is not would go to whoever holds it. */
  #holds(address: string): boolean {
    const now = performance.now();
    if (!this.#held || now - this.#held.at > addressesMs) {
      const all = Object.values(networkInterfaces()).flatMap((own) => own?.map((one) => one.address) ?? []);
      this.#held = { addresses: new Set(all), at: now };
    }
    return this.#held.addresses.has(address);
  }
}
