// `npm run bench -- console [--runs N] [--json FILE]`: the services page of a fleet with 10,000 services and 40,000 real servers, in a real browser.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Browser, type CDPSession, chromium, type Page } from "@playwright/test";
import pg from "pg";
import { freePort, prepare, startAppliance } from "../../infra/appliance.mjs";
import { handOver, place, rest } from "../browser/appliance.ts";
import { apiToken, signIn } from "../browser/console.ts";
import { PretendAgent } from "../browser/pretend-agent.ts";
import { report } from "./report.ts";
import { shown, spread } from "./statistics.ts";

const runsAt = process.argv.indexOf("--runs");
const runs = runsAt < 0 ? 5 : Number(process.argv[runsAt + 1]);
const services = 10_000;
const realServers = 4;
/** So long the page is watched while its figures change every two seconds. */
const watchMs = 30_000;
const tickMs = 2_000;

const admin = { username: "admin", password: "correct horse battery staple" };
await prepare({ onStep: console.log });
const dataDir = mkdtempSync(join(tmpdir(), "trigon-bench-"));
chmodSync(dataDir, 0o755); // Postgres runs as another user when we are root
const appliance = await startAppliance({
  dataDir,
  listen: `127.0.0.1:${await freePort()}`,
  agentListen: `127.0.0.1:${await freePort()}`,
  env: {
    TRIGON_ADMIN_USER: admin.username,
    TRIGON_ADMIN_PASSWORD: admin.password,
  },
});
handOver({ ...appliance, admin });
let browser: Browser | undefined;
try {
  browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  await measure(browser);
} finally {
  await browser?.close();
  await appliance.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function measure(chrome: Browser): Promise<void> {
  const context = () => chrome.newContext({ baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "en-US" });
  const first = await context();
  const page = await first.newPage();
  await signIn(page);
  const token = await apiToken(page.request);
  const storageState = await first.storageState();
  await first.close();
  const { apiUrl, agentUrl, caFile } = place();
  const director = await PretendAgent.enroll({ apiUrl, agentUrl, caFile, token }, "director", "lb-1", "10.255.0.2");
  console.log(`putting ${services} services with ${services * realServers} real servers into the database`);
  const ids = await fill(token, director.nodeId);
  await rest("GET", "/virtual-services?limit=1", token); // what is in the database is known to the controller then
  await director.turn();
  const traffic = keepCounting(director, ids);

  const fresh = async () => {
    const one = await chrome.newContext(await contextOptions(storageState));
    // esbuild names functions by a helper that a page does not have.
    await one.addInitScript("globalThis.__name = (named) => named");
    return one.newPage();
  };
  const interactive: number[] = [];
  const turned: number[] = [];
  const scrolled: number[] = [];
  let kb = 0;
  for (let run = 1; run <= runs; run++) {
    const one = await fresh();
    kb = Math.max(kb, await firstLoad(one));
    const ms = await untilInteractive(one);
    interactive.push(ms);
    turned.push(await untilTurned(one));
    scrolled.push(await worstFrame(one));
    console.log(
      `round ${run}: interactive ${ms.toFixed(0)} ms, next page ${turned.at(-1)!.toFixed(0)} ms, worst frame ${scrolled.at(-1)!.toFixed(0)} ms`,
    );
    await one.context().close();
  }

  const watched = await fresh();
  await firstLoad(watched);
  await untilInteractive(watched);
  const [cpu, changes] = await cpuWhileLive(watched);
  const vitals = await vitalsOf(await fresh());
  await traffic.stop();

  const [open, turn, frame] = [spread(interactive), spread(turned), spread(scrolled)];
  report({
    title: `The services page with ${services} services and ${services * realServers} real servers; ${runs} fresh browser profiles; median (least–most)`,
    rows: [
      ["from the click on the link to rows that answer, ms (limit 1,000)", shown(open, 0)],
      ["the next page of the table, ms", shown(turn, 0)],
      ["longest frame while scrolling through it, ms", shown(frame, 0)],
      [`CPU of the whole browser while figures change, % of a core (limit 5); ${changes} changes seen`, cpu.toFixed(2)],
      ["JavaScript sent for the first page, compressed, kB (limit 250)", kb.toFixed(1)],
      ["", ""],
      ["overview: largest contentful paint, ms", vitals.lcpMs.toFixed(0)],
      ["overview: layout shift", vitals.cls.toFixed(3)],
      ["overview: blocking time, ms", vitals.blockingMs.toFixed(0)],
    ],
    figures: {
      interactiveMs: open.median,
      liveCpuPercent: cpu,
      firstLoadKb: kb,
      nextPageMs: turn.median,
      worstFrameMs: frame.median,
      lcpMs: vitals.lcpMs,
      cls: vitals.cls,
      blockingMs: vitals.blockingMs,
    },
  });
}

async function contextOptions(storageState: Awaited<ReturnType<Awaited<ReturnType<Browser["newContext"]>>["storageState"]>>) {
  const viewport = { width: 1440, height: 900 };
  return { baseURL: place().consoleUrl, ignoreHTTPSErrors: true, locale: "en-US", storageState, viewport };
}

/** Rows as the API writes them, after the pattern of one that it wrote. Answers the services' ids. */
async function fill(token: string, directorId: string): Promise<string[]> {
  const pattern = { name: "svc-00000", vip: "10.100.0.0", port: 80, forwarding: "nat", realServers: [{ rip: "10.200.0.0" }] };
  const made = await rest("POST", "/virtual-services", token, { body: pattern });
  if (made.status !== 201) throw new Error(`The first service was refused: ${JSON.stringify(made.body)}`);
  const { id } = made.body as { id: string };
  const client = new pg.Client({ connectionString: place().databaseUrl });
  await client.connect();
  try {
    await client.query("BEGIN");
    await client.query(`UPDATE fleet SET sequence = sequence + 1`);
    const vip = `'10.' || (100 + n / 65536) || '.' || (n / 256 % 256) || '.' || (n % 256)`;
    await client.query(
      `INSERT INTO "virtualService" (id, name, "directorGroupId", vip, protocol, port, spec, sequence)
       SELECT 'vs_bench' || lpad(n::text, 8, '0'), 'svc-' || lpad(n::text, 5, '0'), v."directorGroupId", ${vip}, v.protocol, v.port,
         v.spec || jsonb_build_object('name', 'svc-' || lpad(n::text, 5, '0'), 'vip', ${vip}), (SELECT sequence FROM fleet)
       FROM "virtualService" v, generate_series(1, ${services - 1}) n WHERE v.id = $1`,
      [id],
    );
    await client.query(
      `INSERT INTO vip (address, "directorGroupId", sequence)
       SELECT vip, "directorGroupId", sequence FROM "virtualService" ON CONFLICT DO NOTHING`,
    );
    const rip = `'10.' || (200 + i) || '.' || (n / 256 % 256) || '.' || (n % 256)`;
    await client.query(
      `INSERT INTO "realServer" (id, "serviceId", position, rip, weight, "upperThreshold", "lowerThreshold")
       SELECT 'rs_bench' || lpad(n::text, 8, '0') || i, CASE n WHEN 0 THEN $1 ELSE 'vs_bench' || lpad(n::text, 8, '0') END, i, ${rip}, 1, 0, 0
       FROM generate_series(0, ${services - 1}) n, generate_series(0, ${realServers - 1}) i WHERE n > 0 OR i > 0`,
      [id],
    );
    await client.query(
      `INSERT INTO gate ("serviceId", "realServerId", "directorNodeId", state, wanted, admitted, releasing)
       SELECT r."serviceId", r.id, g."directorNodeId", g.state,
         CASE WHEN g.wanted IS NULL THEN NULL ELSE g.wanted || jsonb_build_object('rip', r.rip, 'vip', v.vip) END,
         CASE WHEN g.admitted IS NULL THEN NULL ELSE g.admitted || jsonb_build_object('rip', r.rip, 'vip', v.vip) END, g.releasing
       FROM "realServer" r JOIN "virtualService" v ON v.id = r."serviceId", gate g
       WHERE g."serviceId" = $1 AND g."directorNodeId" = $2 ON CONFLICT DO NOTHING`,
      [id, directorId],
    );
    await client.query("COMMIT");
    const { rows } = await client.query<{ id: string }>(`SELECT id FROM "virtualService" ORDER BY name`);
    const { rows: count } = await client.query(`SELECT count(*)::int AS n FROM "realServer"`);
    if (rows.length !== services || count[0].n !== services * realServers)
      throw new Error("The database is not filled as it should be");
    return rows.map((row) => row.id);
  } finally {
    await client.end();
  }
}

/** Every service has other figures every two seconds. */
function keepCounting(director: PretendAgent, ids: readonly string[]) {
  const stop = new AbortController();
  let round = 0;
  const done = (async () => {
    while (!stop.signal.aborted) {
      round++;
      const counted = ids.map((serviceId, at) => {
        const connections = round * (1 + (at % 97)) + ((round * at) % 13);
        const counters = { connections, inPackets: connections * 6, outPackets: connections * 5, inBytes: connections * 900 };
        return { serviceId, counters: { ...counters, outBytes: connections * 9_000 }, destinations: [] };
      });
      // A node whose word is lost says the next.
      await director.count(counted).catch(() => undefined);
      await sleep(tickMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return {
    stop: () => {
      stop.abort();
      return done;
    },
  };
}

/** From the click on the link in the navigation, on a page that is idle, until rows stand and typing in the filter is answered. */
async function untilInteractive(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const began = performance.now();
    const link = document.querySelector<HTMLAnchorElement>('nav a[href="/services"]')!;
    link.click();
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    while (document.querySelectorAll('tbody th[scope="row"]').length < 50) await frame();
    document.querySelector<HTMLInputElement>('input[type="search"]')!.focus();
    // Painted, and nothing waits before the next input.
    await frame();
    await new Promise((resolve) => setTimeout(resolve));
    return performance.now() - began;
  });
}

async function untilTurned(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const first = () => document.querySelector('tbody th[scope="row"]')!.textContent;
    const before = first();
    const began = performance.now();
    const buttons = document.querySelectorAll<HTMLButtonElement>('nav[aria-label="Pages"] button');
    buttons[buttons.length - 1]!.click();
    while (first() === before) await new Promise((resolve) => requestAnimationFrame(resolve));
    return performance.now() - began;
  });
}

/** The longest time between two frames while the page is scrolled down by steps and up again. */
async function worstFrame(page: Page): Promise<number> {
  await page.getByRole("rowheader").first().waitFor();
  return page.evaluate(async () => {
    let worst = 0;
    let last = performance.now();
    const most = document.documentElement.scrollHeight - window.innerHeight;
    for (let step = 0; step <= 120; step++) {
      window.scrollTo(0, most * (step <= 60 ? step / 60 : (120 - step) / 60));
      await new Promise((resolve) => requestAnimationFrame(resolve));
      const now = performance.now();
      worst = Math.max(worst, now - last);
      last = now;
    }
    return worst;
  });
}

/** Opens the overview with nothing cached, and answers the kilobytes of scripts that it took on the wire. */
async function firstLoad(page: Page): Promise<number> {
  const sizes: Promise<number>[] = [];
  page.on("requestfinished", (request) => {
    if (request.resourceType() === "script") sizes.push(request.sizes().then(({ responseBodySize }) => responseBodySize));
  });
  await page.goto("/");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await sleep(3_000); // streams stay open: a network that is idle never comes
  const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  return bytes / 1024;
}

async function cpuWhileLive(page: Page): Promise<[percent: number, changes: number]> {
  const session: CDPSession = await page.context().browser()!.newBrowserCDPSession();
  const cpuSeconds = async () => {
    const { processInfo } = (await session.send("SystemInfo.getProcessInfo")) as { processInfo: { cpuTime: number }[] };
    return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  };
  await sleep(5_000); // what the page does once is over
  await page.evaluate(() => {
    const counted = window as unknown as { changes: number };
    counted.changes = 0;
    const cell = document.querySelector("tbody")!;
    new MutationObserver(() => counted.changes++).observe(cell, { subtree: true, characterData: true, childList: true });
  });
  const [before, began] = [await cpuSeconds(), performance.now()];
  await sleep(watchMs);
  const [after, ended] = [await cpuSeconds(), performance.now()];
  const changes = await page.evaluate(() => (window as unknown as { changes: number }).changes);
  if (changes < 3) throw new Error(`The page was not live: ${changes} changes in ${watchMs / 1000} s`);
  return [(100_000 * (after - before)) / (ended - began), changes];
}

/** What Lighthouse weighs for performance, as the browser itself measures it on the overview. */
async function vitalsOf(page: Page): Promise<{ lcpMs: number; cls: number; blockingMs: number }> {
  await page.addInitScript(() => {
    const seen = { lcpMs: 0, cls: 0, blockingMs: 0 };
    (window as unknown as { vitals: typeof seen }).vitals = seen;
    const on = (type: string, take: (entry: PerformanceEntry & { value: number }) => void) =>
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) take(entry as PerformanceEntry & { value: number });
      }).observe({ type, buffered: true });
    on("largest-contentful-paint", ({ startTime }) => {
      seen.lcpMs = startTime;
    });
    on("layout-shift", ({ value }) => {
      seen.cls += value;
    });
    on("longtask", ({ duration }) => {
      seen.blockingMs += Math.max(0, duration - 50);
    });
  });
  await firstLoad(page);
  return page.evaluate(() => (window as unknown as { vitals: { lcpMs: number; cls: number; blockingMs: number } }).vitals);
}
