// `npm run bench -- health [--runs N] [--seconds N] [--json FILE]`: 200 and 2,000 endpoints checked once a second, beside keepalived with the same checks,
// and beside the floor: bare connections of Node at the same rate.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Lab, stateFolder } from "@trigon/lab";
import { HealthCheck, HealthSpec } from "@trigon/model";
import { report } from "./report.ts";
import { shown, spread } from "./statistics.ts";
import { plan, type Rules, ripOf, vipOf } from "./table-of-rules.ts";

const option = (name: string, otherwise: number) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const runs = option("runs", 3);
const seconds = option("seconds", 20);
const sizes = { few: { services: 20, destinations: 10 }, many: { services: 200, destinations: 10 } } as const satisfies Record<
  string,
  Rules
>;
type Size = keyof typeof sizes;
const here = dirname(fileURLToPath(import.meta.url));
const agent = join(here, "../../apps/agent/dist/trigon/bin/trigon-agent");

interface Run {
  cpuPercent: number;
  rssMb: number;
  probes: number;
  p50LatenessMs: number;
  p99LatenessMs: number;
}

const labName = `bench-health-${process.pid}`;
const files = join(stateFolder(labName), "bench");
mkdirSync(files, { recursive: true });
const file = (name: string, content: string) => {
  const path = join(files, name);
  writeFileSync(path, content);
  return path;
};

/** Both ask by a TCP connection once a second, with no jitter and three tries. */
function keepalivedConf({ services, destinations }: Rules): string {
  const checker = "TCP_CHECK {\n      connect_timeout 1\n      retry 2\n      delay_before_retry 1\n    }";
  return Array.from({ length: services }, (_, service) => {
    const real = Array.from(
      { length: destinations },
      (_, destination) => `  real_server ${ripOf(service, destination)} 80 {\n    weight 1\n    ${checker}\n  }\n`,
    );
    return `virtual_server ${vipOf(service)} 80 {\n  delay_loop 1\n  lvs_sched wlc\n  lvs_method DR\n  protocol TCP\n${real.join("")}}\n`;
  }).join("");
}

function checkedPlan(rules: Rules): string {
  const timing = { intervalMs: 1000, fastIntervalMs: 1000, timeoutMs: 1000, jitter: 0, fall: 3 };
  const health = { ...HealthSpec.parse({}), check: HealthCheck.parse({ kind: "tcp", ...timing }) };
  const whole = plan(rules);
  return JSON.stringify({ ...whole, fragments: whole.fragments.map((fragment) => ({ ...fragment, health })) });
}

const addresses = ({ services, destinations }: Rules) =>
  Array.from({ length: services * destinations }, (_, at) => ripOf(Math.floor(at / destinations), at % destinations)).join("\n");

const names = ["keepalived", "trigon", "floor"] as const;
type Name = (typeof names)[number];
const subjects = (size: Size): Record<Name, readonly string[]> => ({
  keepalived: ["keepalived", file(`${size}.conf`, keepalivedConf(sizes[size]))],
  trigon: ["agent", agent, file(`${size}.json`, checkedPlan(sizes[size]))],
  floor: ["floor", file(`${size}.txt`, addresses(sizes[size]))],
});
const endpointsOf = (size: Size) => sizes[size].services * sizes[size].destinations;

const lab = await Lab.up({
  name: labName,
  topology: { hosts: [{ name: "bench", links: [{ ifname: "eth0", segment: "lan", addresses: ["10.2.0.11/24"] }] }] },
});
const results: Record<Size, Record<Name, Run[]>> = {
  few: { keepalived: [], trigon: [], floor: [] },
  many: { keepalived: [], trigon: [], floor: [] },
};
try {
  const host = lab.host("bench");
  for (let round = 0; round < runs; round += 1) {
    for (const size of ["few", "many"] as const) {
      const argvs = subjects(size);
      for (const name of names) {
        const place = await host.freshNamespace();
        const command = [join(here, "health-run.py"), ...argvs[name], String(endpointsOf(size)), String(seconds)];
        const { code, stdout, stderr } = await place.exec(command, { timeoutMs: 240_000 });
        await place.remove();
        if (code !== 0) throw new Error(`${name} ended with ${code}: ${stderr}${stdout}`);
        const run = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Run;
        results[size][name].push(run);
        const { cpuPercent, rssMb, probes, p50LatenessMs, p99LatenessMs } = run;
        console.log(
          `round ${round + 1} ${String(endpointsOf(size)).padStart(4)} ${name.padEnd(10)} ${cpuPercent.toFixed(1)} % CPU, ${rssMb.toFixed(0)} MB, ` +
            `${(probes / seconds).toFixed(0)} probes/s, late by ${p50LatenessMs.toFixed(1)} ms (median), ${p99LatenessMs.toFixed(1)} ms (p99)`,
        );
      }
    }
  }
} finally {
  await lab.down();
  rmSync(stateFolder(labName), { recursive: true, force: true });
}

const figure = (size: Size, name: Name, what: keyof Run) => spread(results[size][name].map((run) => run[what]));
const line = (size: Size, what: keyof Run, unit: string) =>
  [
    `${endpointsOf(size)} endpoints, ${unit}: ${names.join(" · ")}`,
    names.map((name) => shown(figure(size, name, what))).join(" · "),
  ] as const;
const kinds = [
  ["cpuPercent", "CPU % of one core of the guest"],
  ["rssMb", "memory MB"],
  ["p50LatenessMs", "lateness ms, median"],
  ["p99LatenessMs", "lateness ms, p99"],
] as const;
report({
  title: `TCP checks once a second, ${seconds} s each, a fresh namespace each, ${runs} alternating runs; median (least–most)`,
  rows: (["few", "many"] as const).flatMap((size) => kinds.map(([what, unit]) => line(size, what, unit))),
  figures: Object.fromEntries(
    (["few", "many"] as const).flatMap((size) => {
      const each = names.flatMap((name) =>
        kinds.map(([what]) => [
          `${name}${what[0]!.toUpperCase()}${what.slice(1)}${endpointsOf(size)}`,
          figure(size, name, what).median,
        ]),
      );
      const cpuOf = (name: Name) => figure(size, name, "cpuPercent").median;
      return [
        ...each,
        [`timesKeepalived${endpointsOf(size)}`, cpuOf("trigon") / cpuOf("keepalived")],
        [`timesFloor${endpointsOf(size)}`, cpuOf("trigon") / cpuOf("floor")],
      ];
    }),
  ),
});
