// `npm run bench -- apply [--runs N] [--json FILE]`: a director's whole table, and one change to it, beside ipvsadm, keepalived and the floor.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab, stateFolder } from "@trigon/lab";
import { encodeBatch } from "@trigon/netlink";
import { report } from "./report.ts";
import { shown, spread } from "./statistics.ts";
import { ipvsadmRules, keepalivedConf, operations, plan, rulesOf, vipOf } from "./table-of-rules.ts";

const runsAt = process.argv.indexOf("--runs");
const runs = runsAt < 0 ? 5 : Number(process.argv[runsAt + 1]);
const changes = 5;
const many = { services: 1000, destinations: 10 };
const few = { services: 10, destinations: 10 };
const lastVip = (rules: typeof many) => vipOf(rules.services - 1);
const here = dirname(fileURLToPath(import.meta.url));
const agent = join(here, "../../apps/agent/dist/trigon/bin/trigon-agent");

interface Run {
  ms: number;
  rules: number;
  changesMs: number[];
}

const labName = `bench-apply-${process.pid}`;
// Inside the checkout, which lab hosts see; they have a /tmp of their own.
const files = join(stateFolder(labName), "bench");
mkdirSync(files, { recursive: true });
const file = (name: string, content: string | Buffer) => {
  const path = join(files, name);
  writeFileSync(path, content);
  return path;
};

/** The floor's sends: 1,000 messages each, an ACK asked of the last alone (NLM_F_REQUEST, NLM_F_ACK of <linux/netlink.h>). */
function floorSends(): Buffer {
  const parts: Buffer[] = [];
  const all = operations(many);
  for (let from = 0; from < all.length; from += 1000) {
    const send = encodeBatch(all.slice(from, from + 1000), 0);
    let last = 0;
    for (let at = 0; at < send.length; at += (send.readUInt32LE(at) + 3) & ~3) {
      send.writeUInt16LE(1, at + 6);
      last = at;
    }
    send.writeUInt16LE(1 | 4, last + 6);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(send.length);
    parts.push(size, send);
  }
  return Buffer.concat(parts);
}

const inputs = {
  rules: file("rules", ipvsadmRules(many)),
  conf: file("keepalived.conf", keepalivedConf(many)),
  confMore: file("keepalived-more.conf", keepalivedConf(many, 1)),
  plan: file("plan.json", JSON.stringify(plan(many))),
  planFew: file("plan-few.json", JSON.stringify(plan(few))),
  floor: file("floor", floorSends()),
};
const changesOf = (rules: typeof many, name: string) =>
  Array.from({ length: changes }, (_, index) => [
    file(`${name}-${index}.json`, JSON.stringify(plan(rules, { generation: 2 + index, extra: 1 + index, since: 1 + index }))),
    String(rules.destinations + 1 + index),
  ]).flat();
const changesMany = changesOf(many, "change-many");
const changesFew = changesOf(few, "change-few");

const target = (rules: typeof many) => [lastVip(rules), "80", String(rules.destinations)];
const subjects = {
  ipvsadm: ["ipvsadm", inputs.rules, ...target(many)],
  keepalived: ["keepalived", inputs.conf, ...target(many)],
  reload: ["keepalived-reload", inputs.conf, inputs.confMore, ...target(many), "11"],
  floor: ["floor", inputs.floor, ...target(many)],
  trigon: ["agent", agent, inputs.plan, ...target(many), ...changesMany],
  trigonFew: ["agent", agent, inputs.planFew, ...target(few), ...changesFew],
} as const;
type Subject = keyof typeof subjects;

const lab = await Lab.up({
  name: labName,
  topology: { hosts: [{ name: "bench", links: [{ ifname: "eth0", segment: "lan", addresses: ["10.2.0.11/24"] }] }] },
});
const results = Object.fromEntries(Object.keys(subjects).map((name) => [name, [] as Run[]])) as Record<Subject, Run[]>;
try {
  const host = lab.host("bench");
  for (let round = 0; round < runs; round += 1) {
    for (const [name, argv] of Object.entries(subjects) as [Subject, readonly string[]][]) {
      const place = await host.freshNamespace();
      const { code, stdout, stderr } = await place.exec([join(here, "apply-run.py"), ...argv], { timeoutMs: 180_000 });
      await place.remove();
      if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}${stdout}`);
      const run = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Run;
      const expected = rulesOf(name === "trigonFew" ? few : many) + (name === "reload" ? 1 : 0);
      if (run.rules !== expected) throw new Error(`${name} left ${run.rules} rules in the kernel, not ${expected}`);
      results[name].push(run);
      console.log(
        `round ${round + 1} ${name.padEnd(10)} ${run.ms.toFixed(0).padStart(6)} ms  ${run.changesMs.map((ms) => ms.toFixed(1)).join(" ")}`,
      );
    }
  }
} finally {
  await lab.down();
  rmSync(stateFolder(labName), { recursive: true, force: true });
}

const times = (name: Subject) => spread(results[name].map(({ ms }) => ms));
const changeTimes = (name: Subject) => spread(results[name].flatMap(({ changesMs }) => changesMs));
const [ours, oneChange, oneChangeFew] = [times("trigon"), changeTimes("trigon"), changeTimes("trigonFew")];
report({
  title: `1,000 services × 10 real servers into an empty table; one pinned CPU, a fresh namespace each, ${runs} alternating runs; ms, median (least–most)`,
  rows: [
    ["ipvsadm -R", shown(times("ipvsadm"))],
    ["keepalived, start (no logging)", shown(times("keepalived"))],
    ["Trigon's agent, plan to kernel, cached and journalled", shown(ours)],
    ["floor: prebuilt bytes, one ACK a send", shown(times("floor"))],
    ["", ""],
    ["one real server more: keepalived, reload", shown(times("reload"))],
    ["one real server more: Trigon, 1,000 services loaded", shown(oneChange)],
    ["one real server more: Trigon, 10 services loaded", shown(oneChangeFew)],
  ],
  figures: {
    timesIpvsadm: times("ipvsadm").median / ours.median,
    timesKeepalived: times("keepalived").median / ours.median,
    timesKeepalivedReload: times("reload").median / oneChange.median,
    timesFloor: ours.median / times("floor").median,
    flatness: oneChange.median / oneChangeFew.median,
  },
});
