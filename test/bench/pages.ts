// `npm run bench -- pages [--runs N] [--only PAGE,…] [--json FILE]`: performance, accessibility and best practices of the console's main pages, as Lighthouse weighs them.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContextOptions, type CDPSession, chromium, type Page } from "@playwright/test";
import { freePort, prepare, startAppliance } from "../../infra/appliance.mjs";
import { handOver, place, rest } from "../browser/appliance.ts";
import { apiToken, signIn } from "../browser/console.ts";
import { PretendAgent } from "../browser/pretend-agent.ts";
import { performanceScore, share, type Vitals } from "./page-score.ts";
import { report } from "./report.ts";
import { spread } from "./statistics.ts";

const runsAt = process.argv.indexOf("--runs");
const runs = runsAt < 0 ? 3 : Number(process.argv[runsAt + 1]);
const onlyAt = process.argv.indexOf("--only");
const only = onlyAt < 0 ? undefined : (process.argv[onlyAt + 1] ?? "").split(",");
/** Lighthouse's desktop preset. */
const network = {
  offline: false,
  latency: 40,
  downloadThroughput: (10 * 1024 * 1024) / 8,
  uploadThroughput: (10 * 1024 * 1024) / 8,
};
const services = 50;
/** A page is loaded when nothing was painted, moved or kept the processor for so long. */
const quietMs = 2_000;
const mostMs = 30_000;

interface Measure {
  vitals: Vitals;
  accessibility: number;
  bestPractices: number;
  /** What to mend. */
  findings: string[];
}

const admin = { username: "admin", password: "correct horse battery staple" };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
await prepare({ onStep: console.log });
const dataDir = mkdtempSync(join(tmpdir(), "trigon-bench-"));
chmodSync(dataDir, 0o755); // Postgres runs as another user when we are root
const appliance = await startAppliance({
  dataDir,
  listen: `127.0.0.1:${await freePort()}`,
  agentListen: `127.0.0.1:${await freePort()}`,
  env: { TRIGON_ADMIN_USER: admin.username, TRIGON_ADMIN_PASSWORD: admin.password },
});
handOver({ ...appliance, admin });
try {
  await measureAll();
} finally {
  await appliance.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function measureAll(): Promise<void> {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    const options: BrowserContextOptions = {
      ...{ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "en-US" },
      viewport: { width: 1350, height: 940 },
    };
    const first = await browser.newContext(options);
    const page = await first.newPage();
    await signIn(page);
    const { serviceId, nodeId } = await fill(await apiToken(page.request));
    const storageState = await first.storageState();
    await first.close();
    const paths = {
      "sign-in": "/sign-in",
      overview: "/",
      services: "/services",
      service: `/services/${serviceId}`,
      "new service": "/services/new",
      nodes: "/nodes",
      node: `/nodes/${nodeId}`,
      enroll: "/nodes/enroll",
      topology: "/topology",
      changes: "/changes",
      audit: "/audit",
      settings: "/settings",
      help: "/help",
    };
    const rows: [string, string][] = [];
    const worst = { performance: 100, accessibility: 100, bestPractices: 100, lcpMs: 0, cls: 0, blockingMs: 0 };
    const chosen = Object.entries(paths).filter(([name]) => only?.includes(name) ?? true);
    for (const [name, path] of chosen) {
      const measures: Measure[] = [];
      for (let run = 1; run <= runs; run++) {
        // Nothing is cached: as somebody sees it who comes for the first time.
        const context = await browser.newContext(name === "sign-in" ? options : { ...options, storageState });
        measures.push(await measure(await context.newPage(), path));
        await context.close();
      }
      const middle = (of: (one: Measure) => number) => spread(measures.map(of)).median;
      const performance = middle(({ vitals }) => performanceScore(vitals));
      const accessibility = Math.min(...measures.map((one) => one.accessibility));
      const bestPractices = Math.min(...measures.map((one) => one.bestPractices));
      const [lcpMs, cls, blockingMs] = [
        middle(({ vitals }) => vitals.lcpMs),
        middle(({ vitals }) => vitals.cls),
        middle(({ vitals }) => vitals.blockingMs),
      ];
      const scores = [performance, accessibility, bestPractices].map((score) => score.toFixed(0).padStart(3)).join(" / ");
      rows.push([name, `${scores}   LCP ${lcpMs.toFixed(0)} ms, CLS ${cls.toFixed(3)}, blocked ${blockingMs.toFixed(0)} ms`]);
      const findings = new Set(measures.flatMap((one) => one.findings));
      worst.performance = Math.min(worst.performance, performance);
      worst.accessibility = Math.min(worst.accessibility, accessibility);
      worst.bestPractices = Math.min(worst.bestPractices, bestPractices);
      worst.lcpMs = Math.max(worst.lcpMs, lcpMs);
      worst.cls = Math.max(worst.cls, cls);
      worst.blockingMs = Math.max(worst.blockingMs, blockingMs);
      console.log([`${name}: ${scores}`, ...findings].join("\n  "));
    }
    report({
      title: `Performance / accessibility / best practices of the console's pages, of 100 (wanted: 95); ${runs} first visits each, 40 ms and 10 Mbit/s away; ${services} services`,
      rows,
      figures: worst,
    });
  } finally {
    await browser.close();
  }
}

/** A small fleet, so that no page is empty. */
async function fill(token: string): Promise<{ serviceId: string; nodeId: string }> {
  const { apiUrl, agentUrl, caFile } = place();
  const director = await PretendAgent.enroll({ apiUrl, agentUrl, caFile, token }, "director", "lb-1", "10.255.0.2");
  let serviceId = "";
  for (let at = 1; at <= services; at++) {
    const realServers = [1, 2, 3, 4].map((one) => ({ rip: `10.${20 + one}.0.${at}` }));
    const body = { name: `svc-${String(at).padStart(3, "0")}`, vip: `10.100.0.${at}`, port: 80, forwarding: "nat", realServers };
    const made = await rest("POST", "/virtual-services", token, { body });
    if (made.status !== 201) throw new Error(`A service was refused: ${JSON.stringify(made.body)}`);
    serviceId ||= (made.body as { id: string }).id;
  }
  await director.turn();
  return { serviceId, nodeId: director.nodeId };
}

async function measure(page: Page, path: string): Promise<Measure> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", network);
  const complaints = await listen(page, session);
  // esbuild names functions by a helper that a page does not have.
  await page.addInitScript("globalThis.__name = (named) => named");
  await page.addInitScript(watchVitals);
  const answer = await page.goto(path);
  const { vitals, shifts } = await settled(page);
  const [accessible, barriers] = await accessibility(page);
  const practices = { ...(await bestPractices(page)), "served over TLS": answer?.url().startsWith("https://") === true };
  const policy = (await answer?.headerValue("content-security-policy")) ?? "";
  const answers = {
    ...practices,
    "a content security policy without eval": policy.includes("script-src") && !policy.includes("unsafe-eval"),
    "no complaints in the browser's console": complaints.console.length === 0,
    "no requests that failed": complaints.requests.length === 0,
    "no issues and deprecations that the browser names": complaints.issues.length === 0,
  };
  const unkept = Object.entries(answers).flatMap(([name, isKept]) => (isKept ? [] : [`not kept: ${name}`]));
  return {
    vitals,
    accessibility: accessible,
    bestPractices: share(Object.values(answers)),
    findings: [...shifts, ...barriers, ...unkept, ...complaints.console, ...complaints.requests, ...complaints.issues],
  };
}

/** What the browser itself says against a page. */
async function listen(page: Page, session: CDPSession) {
  const complaints = { console: [] as string[], requests: [] as string[], issues: [] as string[] };
  page.on("pageerror", (error) => complaints.console.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.console.push(message.text());
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.requests.push(`${response.status()} ${new URL(response.url()).pathname}`);
  });
  session.on("Audits.issueAdded", ({ issue }) => complaints.issues.push(JSON.stringify(issue.details)));
  await session.send("Audits.enable");
  return complaints;
}

interface Watched {
  vitals: Vitals;
  /** What moved by itself. */
  shifts: string[];
  lastAt: number;
}

/** Runs in the page, before anything of it. */
function watchVitals(): void {
  const seen: Watched = { vitals: { fcpMs: 0, lcpMs: 0, blockingMs: 0, cls: 0 }, shifts: [], lastAt: 0 };
  Object.assign(window, { watched: seen });
  type Source = { node: Node | null; previousRect: DOMRect; currentRect: DOMRect };
  type Entry = PerformanceEntry & { value: number; hadRecentInput: boolean; sources: Source[] };
  const take: Record<string, (entry: Entry) => void> = {
    paint: ({ name, startTime }) => {
      if (name === "first-contentful-paint") seen.vitals.fcpMs = startTime;
    },
    "largest-contentful-paint": ({ startTime }) => {
      seen.vitals.lcpMs = startTime;
    },
    "layout-shift": ({ value, hadRecentInput, sources }) => {
      if (hadRecentInput) return;
      seen.vitals.cls += value;
      const moved = sources.map(({ node, previousRect, currentRect }) => {
        const words = (node?.textContent ?? "gone").trim().slice(0, 30);
        return `“${words}” from ${previousRect.y.toFixed(0)}+${previousRect.height.toFixed(0)} to ${currentRect.y.toFixed(0)}+${currentRect.height.toFixed(0)}`;
      });
      if (value >= 0.01) seen.shifts.push(`moved by itself (${value.toFixed(3)}): ${moved.join("; ")}`);
    },
    longtask: ({ duration }) => {
      seen.vitals.blockingMs += Math.max(0, duration - 50);
    },
  };
  for (const [type, one] of Object.entries(take)) {
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        one(entry as Entry);
        seen.lastAt = performance.now();
      }
    }).observe({ type, buffered: true });
  }
}

async function settled(page: Page): Promise<Watched> {
  await page.waitForFunction(
    (quiet) => {
      const { vitals, lastAt } = (window as unknown as { watched: Watched }).watched;
      const isDrawn = vitals.fcpMs > 0 && vitals.lcpMs > 0 && document.querySelector("main .animate-pulse") === null;
      // A machine that is never quiet is measured as busy as it is.
      return isDrawn && (performance.now() - lastAt > quiet.ms || performance.now() > quiet.mostMs);
    },
    { ms: quietMs, mostMs: mostMs / 2 },
    { timeout: mostMs, polling: 200 },
  );
  return page.evaluate(() => (window as unknown as { watched: Watched }).watched);
}

/** Which share of axe's rules that apply found nothing, and what the others found, minor things too. */
async function accessibility(page: Page): Promise<[score: number, findings: string[]]> {
  await page.evaluate(axe);
  const { passes, violations } = await page.evaluate(async () => {
    type Found = { id: string; nodes: { target: unknown }[] };
    const { axe: run } = window as unknown as {
      axe: { run(root: Document): Promise<{ passes: Found[]; violations: Found[] }> };
    };
    const found = await run.run(document);
    const brief = (one: Found) => `axe ${one.id}: ${one.nodes.map(({ target }) => String(target)).join(", ")}`;
    return { passes: found.passes.map(brief), violations: found.violations.map(brief) };
  });
  return [share([...passes.map(() => true), ...violations.map(() => false)]), violations];
}

async function bestPractices(page: Page): Promise<Record<string, boolean>> {
  return page.evaluate(() => ({
    "a document type": document.doctype?.name === "html",
    "UTF-8": document.characterSet === "UTF-8",
    "a title": document.title.length > 0,
    "a language": document.documentElement.lang.length > 0,
    "a viewport that can be enlarged": !/user-scalable\s*=\s*no|maximum-scale/.test(
      document.querySelector<HTMLMetaElement>('meta[name="viewport"]')?.content ?? "user-scalable=no",
    ),
    "nothing from elsewhere": performance
      .getEntriesByType("resource")
      .every(({ name }) => name.startsWith(location.origin) || /^(data|blob):/.test(name)),
  }));
}
