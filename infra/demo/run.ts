// The demo itself, once dependencies, system packages and builds are there: see demo.mjs.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { byteShare, fetchAnswers, type HttpAnswer, useRealFrames } from "@trigon/lab";
import type { VirtualServiceView } from "@trigon/model";
import { freePort } from "../appliance.mjs";
import { startGentleLoad } from "./gentle-load.ts";
import { type Drill, makePair, runDrill } from "./pair.ts";
import { hostOfRip } from "./services.ts";
import { createDemoServices, enrollAll, startWorld, type World } from "./world.ts";

const options = process.argv.slice(2);
const isCheck = options.includes("--check");
const jsonFile = options.includes("--json") ? options[options.indexOf("--json") + 1] : undefined;
if (options.includes("--json") && !jsonFile) {
  console.error("--json needs a file name");
  process.exit(2);
}

const started = Date.now();
const say = (text: string) => console.log(text);
const step = (text: string) => say(`  → ${`${((Date.now() - started) / 1000).toFixed(1)} s`.padStart(7)}  ${text}`);

let world: World | undefined;
let load: ReturnType<typeof startGentleLoad> | undefined;
let isStopping = false;
async function stop(code: number): Promise<never> {
  if (!isStopping) {
    isStopping = true;
    await load?.stop();
    await world?.stop();
    process.exit(code);
  }
  return new Promise(() => {});
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));

interface Row {
  service: VirtualServiceView;
  answers: HttpAnswer[];
  share: number;
  isRight: boolean;
}

/** Real HTTP to one VIP: who answered, whom they saw, and what part of the bytes passed the director. */
async function measure({ lab }: World, service: VirtualServiceView): Promise<Row> {
  const target = `${service.vip}:${service.port}`;
  const expected = new Set(service.realServers.map(({ rip }) => hostOfRip[rip]));
  const answers = await fetchAnswers(lab.host("client"), target, { count: 3 * expected.size });
  const answered = new Set(answers.map(({ server }) => server));
  const mix = { requestBytes: 10_000, replyBytes: 90_000, count: 10 };
  const { share } = await byteShare({ client: lab.host("client"), director: lab.host("dir1"), target, ...mix });
  const isRight = answers.length === 3 * expected.size && [...expected].every((name) => name !== undefined && answered.has(name));
  return { service, answers, share, isRight };
}

const forwardingNames = { dr: "DR", tun: "Tunnel", nat: "NAT", fullnat: "full NAT" } as const;

function table(rows: readonly Row[]): string {
  const cells = rows.map(({ service, answers, share, isRight }) => [
    isRight ? "✓" : "✗",
    service.name,
    `${service.vip}:${service.port}`,
    forwardingNames[service.forwarding],
    [...new Set(answers.map(({ server }) => server))].sort().join(" ") || "nobody",
    [...new Set(answers.map(({ src }) => src))].sort().join(" ") || "—",
    `${(100 * share).toFixed(1)} %`,
  ]);
  const head = ["", "service", "VIP", "forwarding", "answered", "they saw", "director's share"];
  const widths = head.map((title, column) => Math.max(title.length, ...cells.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`.trimEnd();
  return [line(head), line(widths.map((width) => "─".repeat(width))), ...cells.map(line)].join("\n");
}

/** The demo goes on without a drill that could not be carried out. */
function drillLine(drill: Drill | Error): string {
  if (drill instanceof Error)
    return `  ✗ takeover drill  ${drill.message}${drill.cause instanceof Error ? ` (${drill.cause.message})` : ""}`;
  const { isRight, view, gapMs, held, lost, failedAfter } = drill;
  const way = `${view.from.name} → ${view.to.name} → ${view.from.name}`;
  if (view.state !== "done") return `  ✗ takeover drill  ${way}: ${view.state} (${view.reason})`;
  const gap = gapMs === null ? "no new connection came about" : `at most ${gapMs} ms between new connections`;
  const after = failedAfter > 0 ? `, ${failedAfter} new ones failed afterwards` : "";
  const reasons = lost.map(({ target, reason }) => `\n    lost: ${target} ${reason}`).join("");
  return `  ${isRight ? "✓" : "✗"} takeover drill  ${way}: ${gap}, ${lost.length} of ${held} held connections lost (DR and Tunnel, as the client saw it)${after}${reasons}`;
}

const sayWhere = ({ consoleUrl, caFile, admin }: World["appliance"]) =>
  say(`  console    ${consoleUrl}   (a certificate of its own CA: ${caFile})
  user       ${admin.username}
  password   ${admin.password}

  A look inside: npm run lab -- exec --name demo dir1 -- ipvsadm -Ln
`);

try {
  const isFree = await freePort(8443).then(
    () => true,
    () => false,
  );
  world = await startWorld({ name: "demo", port: isFree ? 8443 : undefined, onStep: step });
  await enrollAll(world, step);
  step("creating one virtual service per forwarding through the REST API");
  const services = await createDemoServices(world.api);
  await useRealFrames(world.lab);
  step("sending real HTTP from the lab's client to each VIP");
  const rows: Row[] = [];
  for (const service of services) rows.push(await measure(world, service));
  say(`\n${table(rows)}\n
  The director's share is of all bytes of ten requests of 10 kB with replies of 90 kB; “they saw” is the source address of the request.
`);
  const { appliance, apiToken } = world;
  if (jsonFile) {
    const path = resolve(jsonFile);
    mkdirSync(dirname(path), { recursive: true });
    const content = {
      consoleUrl: appliance.consoleUrl,
      apiUrl: appliance.apiUrl,
      caFile: appliance.caFile,
      apiToken,
      adminUser: appliance.admin.username,
      adminPassword: appliance.admin.password,
    };
    writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  }
  if (!isCheck) sayWhere(appliance);
  step("making the two directors a pair, and moving the VIPs there and back");
  const drill = await makePair(world.api)
    .then(() => runDrill(world!, services))
    .catch((error: unknown) => error as Error);
  say(`\n${drillLine(drill)}\n`);
  const isRight = rows.every((row) => row.isRight) && "isRight" in drill && drill.isRight;
  if (isCheck) {
    say(isRight ? "  Every service answered as it should." : "  ✗ Not every service answered as it should.");
    await stop(isRight ? 0 : 1);
  }
  load = startGentleLoad(
    world.lab.host("client"),
    services.map(({ vip, port }) => `${vip}:${port}`),
  );
  say(`  The lab's client keeps a gentle load on every service, so that charts have something to show. Ctrl-C stops everything.`);
} catch (error) {
  say(`\n  ✗ ${error instanceof Error ? error.message : String(error)}`);
  await stop(1);
}
