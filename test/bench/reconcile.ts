// `npm run bench -- reconcile [--runs N] [--json FILE]`: 2,277 services with 37,205 real servers, keepalived's own published case, beside keepalived.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab, stateFolder } from "@trigon/lab";
import { report } from "./report.ts";
import { shown, spread } from "./statistics.ts";
import { destinationsOf, keepalivedConf, plan, type Rules, rulesOf, vipOf } from "./table-of-rules.ts";

const runsAt = process.argv.indexOf("--runs");
const runs = runsAt < 0 ? 3 : Number(process.argv[runsAt + 1]);
const changes = 3;
/** As in keepalived's issue 2318: most services have 16 real servers, 773 have 17. */
const rules: Rules = { services: 2277, destinations: 16, larger: 773 };
const last = rules.services - 1;
const here = dirname(fileURLToPath(import.meta.url));
const agent = join(here, "../../apps/agent/dist/trigon/bin/trigon-agent");

interface Run {
  startMs: number;
  rules: number;
  changesMs: number[];
  rssMb: number;
  peakMb: number;
  /** Of the agent only. */
  sweepBoundMs?: number;
  sweepCpuPercent?: number;
}

const labName = `bench-reconcile-${process.pid}`;
// Inside the checkout, which lab hosts see; they have a /tmp of their own.
const files = join(stateFolder(labName), "bench");
mkdirSync(files, { recursive: true });
const file = (name: string, content: string) => {
  const path = join(files, name);
  writeFileSync(path, content);
  return path;
};
const each = Array.from({ length: changes }, (_, index) => index + 1);
const target = [vipOf(last), "80", String(destinationsOf(rules, last))];
const after = (extra: number) => String(destinationsOf(rules, last) + extra);
const subjects = {
  keepalived: [
    "keepalived",
    file("keepalived.conf", keepalivedConf(rules)),
    ...target,
    ...each.flatMap((extra) => [file(`keepalived-${extra}.conf`, keepalivedConf(rules, extra)), after(extra)]),
  ],
  trigon: [
    "agent",
    agent,
    file("plan.json", JSON.stringify(plan(rules))),
    ...target,
    ...each.flatMap((extra) => [
      file(`change-${extra}.json`, JSON.stringify(plan(rules, { generation: 1 + extra, extra, since: extra }))),
      after(extra),
    ]),
  ],
} as const;
type Subject = keyof typeof subjects;

const lab = await Lab.up({
  name: labName,
  topology: { hosts: [{ name: "bench", links: [{ ifname: "eth0", segment: "lan", addresses: ["10.2.0.11/24"] }] }] },
});
const results: Record<Subject, Run[]> = { keepalived: [], trigon: [] };
try {
  const host = lab.host("bench");
  for (let round = 0; round < runs; round += 1) {
    for (const [name, argv] of Object.entries(subjects) as [Subject, readonly string[]][]) {
      const place = await host.freshNamespace();
      const { code, stdout, stderr } = await place.exec([join(here, "reconcile-run.py"), ...argv], { timeoutMs: 600_000 });
      await place.remove();
      if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}${stdout}`);
      const run = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Run;
      if (run.rules !== rulesOf(rules)) throw new Error(`${name} left ${run.rules} rules in the kernel, not ${rulesOf(rules)}`);
      results[name].push(run);
      const { startMs, changesMs, rssMb, peakMb, sweepBoundMs, sweepCpuPercent } = run;
      const sweep =
        sweepBoundMs === undefined ? "" : `, idle ${sweepCpuPercent?.toFixed(2)} % of a core, bound ${sweepBoundMs} ms`;
      console.log(
        `round ${round + 1} ${name.padEnd(10)} start ${startMs.toFixed(0)} ms, changes ${changesMs.map((ms) => ms.toFixed(1)).join(" ")} ms, ` +
          `${rssMb.toFixed(0)} MB (most ${peakMb.toFixed(0)})${sweep}`,
      );
    }
  }
} finally {
  await lab.down();
  rmSync(stateFolder(labName), { recursive: true, force: true });
}

const of = (name: Subject, what: (run: Run) => number) => spread(results[name].map(what));
const start = (name: Subject) => of(name, ({ startMs }) => startMs);
const change = (name: Subject) => spread(results[name].flatMap(({ changesMs }) => changesMs));
const memory = (name: Subject) => of(name, ({ rssMb }) => rssMb);
const peak = (name: Subject) => of(name, ({ peakMb }) => peakMb);
const cpu = of("trigon", ({ sweepCpuPercent }) => sweepCpuPercent ?? Number.NaN);
const bound = of("trigon", ({ sweepBoundMs }) => (sweepBoundMs ?? Number.NaN) / 1000);
report({
  title: `2,277 services with 37,205 real servers; one pinned CPU, a fresh namespace each, ${runs} alternating runs; median (least–most)`,
  rows: [
    ["start, ms: keepalived (no logging)", shown(start("keepalived"))],
    ["start, ms: Trigon's agent, plan to kernel, cached and journalled", shown(start("trigon"))],
    ["one real server more, ms: keepalived, reload", shown(change("keepalived"))],
    ["one real server more, ms: Trigon", shown(change("trigon"))],
    ["", ""],
    ["memory, MB: keepalived", shown(memory("keepalived"))],
    ["memory, MB: Trigon's agent, after start, changes and sweeps", shown(memory("trigon"))],
    ["memory at its most, MB: keepalived", shown(peak("keepalived"))],
    ["memory at its most, MB: Trigon's agent", shown(peak("trigon"))],
    ["", ""],
    ["idle sweep, % of a core: Trigon's agent, all that it does while idle", shown(cpu, 2)],
    ["idle sweep, stated bound in seconds", shown(bound)],
  ],
  figures: {
    timesStart: start("keepalived").median / start("trigon").median,
    timesChange: change("keepalived").median / change("trigon").median,
    sweepCpuPercent: cpu.median,
    sweepBoundSeconds: bound.median,
    agentRssMb: memory("trigon").median,
    agentPeakMb: peak("trigon").median,
    keepalivedRssMb: memory("keepalived").median,
  },
});
