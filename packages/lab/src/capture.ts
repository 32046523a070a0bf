import type { LabHost } from "./lab-host.ts";
import { until } from "./until.ts";

/** One packet as tcpdump printed it. */
export interface CapturedPacket {
  /** Wall-clock seconds, in the lab. */
  time: number;
  /** The line without its time, link-level header included. */
  line: string;
}

export interface Capture {
  /** Packets printed so far. */
  readonly packets: readonly CapturedPacket[];
  /** Waits until a packet's line matches; answers that packet. */
  waitFor(pattern: RegExp, deadlineMs?: number): Promise<CapturedPacket>;
  /** Stops tcpdump, which then prints what it still holds, and answers all packets. */
  stop(): Promise<CapturedPacket[]>;
}

/** Runs tcpdump on a host's interface ("any" for all) and answers once it listens, so that no packet sent afterwards is missed. */
export async function capture(host: LabHost, filter: string, ifname = "any"): Promise<Capture> {
  const packets: CapturedPacket[] = [];
  let rest = "";
  let said = "";
  const process = await host.spawn(
    ["tcpdump", "-i", ifname, "-n", "-e", "-tt", "-l", "--immediate-mode", ...filter.split(/\s+/).filter(Boolean)],
    {
      onStdout: (chunk) => {
        rest += chunk;
        const lines = rest.split("\n");
        rest = lines.pop()!;
        packets.push(...parsePackets(lines));
      },
      onStderr: (chunk) => {
        said += chunk;
      },
    },
  );
  let isOver = false;
  const ended = process.exited.finally(() => {
    isOver = true;
  });
  ended.catch(() => {});
  await until(`tcpdump on ${host.name} ${ifname}`, () => said.includes("listening on") || isOver, {
    deadlineMs: 20_000,
    everyMs: 5,
  });
  if (!said.includes("listening on")) throw new Error(`tcpdump on ${host.name} ${ifname}: ${said}`);
  return {
    packets,
    waitFor: (pattern, deadlineMs = 5000) =>
      until(`a packet like ${pattern} on ${host.name} ${ifname}`, () => packets.find(({ line }) => pattern.test(line)), {
        deadlineMs,
      }),
    async stop() {
      process.signal(2);
      await ended;
      return [...packets];
    },
  };
}

/** Reads `tcpdump -tt` lines; continuation lines (which begin with white space) are joined to their packet. */
export function parsePackets(lines: readonly string[]): CapturedPacket[] {
  const packets: CapturedPacket[] = [];
  for (const text of lines) {
    const match = /^(\d+\.\d+) (.*)$/.exec(text);
    if (match) packets.push({ time: Number(match[1]), line: match[2]! });
    else if (packets.length > 0 && text.trim()) packets.at(-1)!.line += ` ${text.trim()}`;
  }
  return packets;
}
