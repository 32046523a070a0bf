import { type Capture, capture, type Lab, type LabHost, until } from "@trigon/lab";
import { type Director, directors, holdersOf, other } from "./pair-setup.ts";

/** A director took an address, or let it go, at a moment of the lab's one clock (seconds). */
interface Change {
  time: number;
  director: Director;
  what: "bound" | "up";
  is: boolean;
}

/** How long, in milliseconds, at worst. */
export interface Held {
  /** Nobody held the address on a link that was up. */
  none: number;
  /** Two held it after each had heard the other in that very time. */
  twoHearing: number;
  /** Two had it bound, whether they heard each other or not. */
  two: number;
}

/**
 * Who holds an address, by what both directors' kernels say of addresses and links (`ip monitor`), and what VRRP each took in (`tcpdump`, behind
 * whatever loses or delays packets). Both hosts share the lab's kernel and so one clock, which no fault touches.
 */
export class Timeline {
  readonly #lab: Lab;
  readonly #address: string;
  readonly #changes: Change[] = [];
  readonly #captures = new Map<Director, Capture>();
  readonly #ends: (() => void)[] = [];

  private constructor(lab: Lab, address: string) {
    this.#lab = lab;
    this.#address = address;
  }

  static async start(lab: Lab, address: string): Promise<Timeline> {
    const timeline = new Timeline(lab, address);
    const holders = await holdersOf(lab, address);
    for (const { name, address: own } of directors) {
      timeline.#changes.push(
        { time: 0, director: name, what: "bound", is: holders.includes(name) },
        { time: 0, director: name, what: "up", is: true },
      );
      await timeline.#follow(name, lab.host(name));
      timeline.#captures.set(other(name), await capture(lab.host(other(name)), `proto 112 and src ${own}`, "eth0"));
    }
    return timeline;
  }

  /** The lab's clock. */
  async now(): Promise<number> {
    return Number(await this.#lab.host("router").sh("date +%s.%N"));
  }

  async stop(): Promise<void> {
    for (const end of this.#ends) end();
    for (const one of this.#captures.values()) await one.stop();
  }

  async #follow(director: Director, host: LabHost): Promise<void> {
    let rest = "";
    let seen = 0;
    const monitor = await host.spawn(["env", "TZ=UTC", "ip", "-ts", "-o", "monitor", "link", "address"], {
      onStdout: (chunk) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        seen += lines.length;
        for (const line of lines) this.#changes.push(...this.#read(director, line));
      },
    });
    this.#ends.push(() => monitor.signal(15));
    const isListening = async () => {
      await host.sh("ip link add marker type dummy; ip link del marker");
      return seen > 0;
    };
    await until(`ip monitor on ${host.name}`, isListening, { deadlineMs: 20_000, everyMs: 100 });
  }

  #read(director: Director, line: string): Change[] {
    const [, stamp, text = ""] = /^\[([^\]]+)\] (.*)$/.exec(line) ?? [];
    if (stamp === undefined) return [];
    const time = Date.parse(`${stamp}Z`) / 1000;
    const flags = /^\d+: eth0(?:@\S+)?: <([^>]*)>/.exec(text)?.[1]?.split(",");
    if (flags) return [{ time, director, what: "up", is: flags.includes("UP") }];
    if (!text.includes(`inet ${this.#address}/`)) return [];
    return [{ time, director, what: "bound", is: !text.startsWith("Deleted") }];
  }

  /** By what was said up to now: who has the address bound on a link that is up. */
  holders(): Director[] {
    const last = this.#segments(0, Number.POSITIVE_INFINITY).at(-1);
    return last?.holders ?? [];
  }

  #segments(from: number, to: number) {
    const state = new Map<string, boolean>();
    const sorted = this.#changes.toSorted((a, b) => a.time - b.time);
    const segments: { from: number; to: number; holders: Director[] }[] = [];
    for (const [index, { time, director, what, is }] of sorted.entries()) {
      state.set(`${director} ${what}`, is);
      const start = Math.max(time, from);
      const end = Math.min(sorted[index + 1]?.time ?? Number.POSITIVE_INFINITY, to);
      if (end <= start) continue;
      const holders = directors.map(({ name }) => name).filter((name) => state.get(`${name} bound`) && state.get(`${name} up`));
      const before = segments.at(-1);
      if (before && before.holders.join() === holders.join()) before.to = end;
      else segments.push({ from: start, to: end, holders });
    }
    return segments;
  }

  /** The worst of a stretch of time, in seconds of the lab's clock. */
  worst(from: number, to: number): Held {
    const worst: Held = { none: 0, twoHearing: 0, two: 0 };
    for (const segment of this.#segments(from, to)) {
      const ms = Math.round(1000 * (segment.to - segment.from));
      if (segment.holders.length === 0) worst.none = Math.max(worst.none, ms);
      if (segment.holders.length < 2) continue;
      worst.two = Math.max(worst.two, ms);
      const heard = directors.map(
        ({ name }) =>
          this.#captures.get(name)!.packets.find(({ time }) => time >= segment.from && time <= segment.to)?.time ??
          Number.POSITIVE_INFINITY,
      );
      worst.twoHearing = Math.max(worst.twoHearing, Math.round(1000 * (segment.to - Math.max(...heard))));
    }
    return worst;
  }
}
