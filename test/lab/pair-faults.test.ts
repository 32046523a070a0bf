import { arpHolders, fetchAnswers, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { Random } from "../walk/random.ts";
import { fragmentsOf, macOf } from "./agent.ts";
import { drawFault } from "./pair-faults.ts";
import { advertMs, bindSilently, holdersOf, isFit, startPair } from "./pair-setup.ts";
import { Timeline } from "./pair-timeline.ts";
import { startProber } from "./pair-traffic.ts";
import { useLab } from "./use-lab.ts";

const seed = Number(process.env.TRIGON_SEED ?? Date.now() % 1_000_000);
const faults = Number(process.env.TRIGON_FAULTS ?? 8);
const vip = "10.2.0.100";
/** None holds a VIP, or serves new connections, for at most so long. */
const mostNoneMs = 2_000;
/** Where the link loses packets, the advertisement is lost, too, on which the VIPs are announced again: then a master does so every 5 s. */
const mostGapOnLossMs = 7_000;

describe("random faults of a pair", { timeout: 300_000 + faults * 60_000 }, () => {
  const lab = useLab();

  beforeAll(async () => {
    for (const name of ["rs1", "rs2"]) await bindSilently(lab.host(name), vip);
    const realServers = [
      { host: "rs1", rip: "10.2.0.21" },
      { host: "rs2", rip: "10.2.0.22" },
    ];
    await startPair(lab, [fragmentsOf({ vip, forwarding: "dr", realServers })]);
  }, 300_000);

  /** One holder, both fit, one MAC that answers on the VIP's segment, which is the router's, and a client that is served. */
  const isHealed = async () => {
    const [holder, second] = await holdersOf(lab, vip);
    if (holder === undefined || second !== undefined) throw new Error(holder === undefined ? "nobody holds it" : "both hold it");
    if (!(await isFit(lab))) throw new Error("a member is not fit");
    const mac = await macOf(lab, holder);
    const neighbour = /lladdr (\S+)/.exec(await lab.host("router").sh(`ip neigh show ${vip} dev eth1`))?.[1];
    if (neighbour !== mac) throw new Error("the router sends to another than the holder");
    const answering = await arpHolders(lab.host("router"), "eth1", vip);
    if (answering.join() !== mac) throw new Error("others than the holder answer for the VIP");
    await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 2 });
    return holder;
  };
  /** Waits until all is healed; answers who holds the VIP, and what was seen wrong meanwhile and how often. */
  const healed = async (where: string) => {
    const seen = new Map<string, number>();
    const ask = () =>
      isHealed().catch((error: Error) => {
        seen.set(error.message, (seen.get(error.message) ?? 0) + 1);
        throw error;
      });
    const holder = await until(`${where}: healed`, ask, { deadlineMs: 60_000, everyMs: 100 });
    return { holder, seen: [...seen].map(([what, times]) => ` (${times} times ${what})`).join("") };
  };

  test(`${faults} of them, seed ${seed}: never two holders that hear each other, never none, and each time all is healed`, async () => {
    console.log(`npm run test:faults -- --faults ${faults} --seed ${seed}`);
    const random = new Random(seed);
    const counts = new Map<string, number>();
    const worst = { none: 0, twoHearing: 0, two: 0, gap: 0, heal: 0 };
    const wrong: string[] = [];
    await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 2 });
    const timeline = await Timeline.start(lab, vip);
    try {
      let { holder } = await healed("before any fault");
      for (let at = 1; at <= faults; at += 1) {
        const fault = drawFault(random, lab, vip, holder);
        const where = `seed ${seed}, fault ${at} of ${faults} (${fault.text})`;
        counts.set(fault.kind, (counts.get(fault.kind) ?? 0) + 1);
        const prober = await startProber(lab.host("client"), [`${vip}:80`]);
        const from = await timeline.now();
        await fault.begin();
        await fault.during().catch((error: Error) => wrong.push(`${where}: ${error.message}`));
        await fault.heal();
        const healing = performance.now();
        const after = await healed(where);
        holder = after.holder;
        const healMs = Math.round(performance.now() - healing);
        const { gapMs, probes } = await prober.stop();
        const { none, two, twoHearing } = timeline.worst(from, await timeline.now());
        expect(timeline.holders(), `${where}: what ip monitor said, and ip`).toEqual([holder]);
        console.log(
          `${String(at).padStart(3)} ${fault.text}: none ${none} ms, two ${two} ms (hearing ${twoHearing} ms), ` +
            `new connections ${gapMs} ms in ${probes}, healed in ${healMs} ms${after.seen}, ${holder} holds`,
        );
        if (none > mostNoneMs) wrong.push(`${where}: nobody held the VIP for ${none} ms`);
        if (twoHearing > 3 * advertMs) wrong.push(`${where}: two held the VIP for ${twoHearing} ms and heard each other`);
        if (!(gapMs <= (fault.kind === "loss" ? mostGapOnLossMs : mostNoneMs)))
          wrong.push(`${where}: no new connection for ${gapMs} ms`);
        for (const [key, ms] of Object.entries({ none, two, twoHearing, gap: gapMs, heal: healMs }) as [
          keyof typeof worst,
          number,
        ][])
          worst[key] = Math.max(worst[key], ms);
      }
    } finally {
      await timeline.stop();
      const kinds = [...counts].map(([kind, count]) => `${kind} ${count}`).join(", ");
      console.log(
        `seed ${seed}: ${kinds}; worst: none ${worst.none} ms, two that heard each other ${worst.twoHearing} ms, two at all ${worst.two} ms, ` +
          `new connections ${worst.gap} ms, healed in ${worst.heal} ms`,
      );
    }
    expect(wrong).toEqual([]);
  });
});
