import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Browser, type BrowserContext, chromium, type Page } from "@playwright/test";
import { freePort, startAppliance } from "../appliance.mjs";
import { emptyShots, type Shot, shotsOf } from "./pages.ts";

const { values: options } = parseArgs({
  options: { json: { type: "string" }, out: { type: "string" }, only: { type: "string" } },
});
const out = resolve(options.out ?? ".trigon/screenshots");

interface Console {
  consoleUrl: string;
  username: string;
  password: string;
  note: string;
  stop: () => Promise<void>;
}

/** The demo's console, whose password stands in its file; or one of our own. */
async function open(): Promise<Console> {
  if (options.json) {
    const demo = JSON.parse(readFileSync(options.json, "utf8")) as Record<"consoleUrl" | "adminUser" | "adminPassword", string>;
    const { consoleUrl, adminUser: username, adminPassword: password } = demo;
    return { consoleUrl, username, password, note: "with the demo's lab and its packets", stop: async () => undefined };
  }
  const dataDir = mkdtempSync(join(tmpdir(), "trigon-screenshots-"));
  chmodSync(dataDir, 0o755); // Postgres runs as another user when we are root
  const [username, password] = ["admin", "correct horse battery staple"];
  const appliance = await startAppliance({
    dataDir,
    listen: `127.0.0.1:${await freePort()}`,
    agentListen: `127.0.0.1:${await freePort()}`,
    env: { TRIGON_ADMIN_USER: username, TRIGON_ADMIN_PASSWORD: password },
  });
  const note = "WITHOUT a lab: no nodes and no packets. For those: npm run demo -- --json FILE, and --json FILE here";
  const stop = async () => {
    await appliance.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
  return { consoleUrl: appliance.consoleUrl, username, password, note, stop };
}

const languages = ["en", "zh-CN"] as const;
const themes = ["light", "dark"] as const;
const sizes = { wide: { width: 1440, height: 900 }, narrow: { width: 390, height: 844 } } as const;

async function signIn(page: Page, { username, password }: Console): Promise<void> {
  await page.goto("/sign-in");
  await page.locator('input[name="username"]').fill(username);
  await page.locator('input[name="password"]').fill(password);
  await page.locator('button[type="submit"]').click();
  await page.waitForURL((url) => url.pathname === "/");
}

/** Services of each forwarding, so that pages of an appliance without a lab have something to show. */
async function fill(page: Page): Promise<void> {
  for (const [at, forwarding] of ["dr", "tun", "nat", "fullnat"].entries()) {
    const spec = {
      ...{ name: `web-${forwarding}`, vip: `192.0.2.${10 + at}`, port: 80, forwarding },
      realServers: [{ rip: "192.0.2.21" }, { rip: "192.0.2.22" }],
    };
    await ask(page, "virtualService.create", { spec });
  }
}

/** A call as the console makes it, with the session's cookie. */
async function ask(page: Page, procedure: string, input: unknown, isQuery = false): Promise<unknown> {
  const url = `/api/trpc/${procedure}`;
  const answer = isQuery
    ? await page.request.get(`${url}?input=${encodeURIComponent(JSON.stringify(input))}`)
    : await page.request.post(url, { data: input, headers: { origin: new URL(page.url()).origin } });
  if (!answer.ok()) throw new Error(`${procedure}: ${answer.status()} ${await answer.text()}`);
  return ((await answer.json()) as { result: { data: unknown } }).result.data;
}

/** Whether the page has come to rest: nothing loads, and what streams in is there. */
async function settle(page: Page, shot: Shot): Promise<void> {
  await page.locator("main").first().waitFor();
  await page.waitForFunction(() => document.querySelector("main .animate-pulse") === null, undefined, { timeout: 20_000 });
  if (shot.act) {
    await shot.act(page);
    await page.locator('[role="dialog"]').waitFor();
  }
  await atRest(page);
  // Rates need two samples of the counters, two seconds apart.
  const isLive = ["overview", "services", "service"].includes(shot.name) || shot.name.startsWith("topology");
  if (isLive && options.json)
    await page
      .waitForFunction(() => /\bbit\/s/.test(document.body.textContent), undefined, { timeout: 8_000 })
      .catch(() => undefined);
}

/** What streams in has come when the text has stood still for a while; live figures never stand still for long. */
async function atRest(page: Page): Promise<void> {
  const deadline = Date.now() + 4_000;
  let [last, since] = ["", Date.now()];
  while (Date.now() < deadline && Date.now() - since < 600) {
    const text = await page.evaluate(() => document.body.textContent);
    if (text !== last) [last, since] = [text, Date.now()];
    await page.waitForTimeout(100);
  }
}

type Session = Awaited<ReturnType<BrowserContext["storageState"]>>;

/** Takes these shots as every kind of reader sees them. */
async function shootAll(
  browser: Browser,
  baseURL: string,
  session: Session | undefined,
  shots: readonly Shot[],
): Promise<string[]> {
  const files: string[] = [];
  const wanted = shots.filter(({ name }) => name.includes(options.only ?? ""));
  for (const language of wanted.length > 0 ? languages : []) {
    for (const theme of themes) {
      for (const [size, viewport] of Object.entries(sizes)) {
        const folder = `${language}-${theme}-${size}`;
        mkdirSync(join(out, folder), { recursive: true });
        const context = await browser.newContext({
          ...{ baseURL, ignoreHTTPSErrors: true, locale: language, colorScheme: theme, viewport },
          ...{ storageState: session, reducedMotion: "reduce" },
        });
        await context.addCookies([{ name: "trigon_locale", value: language, url: baseURL }]);
        const page = await context.newPage();
        for (const shot of wanted) {
          await page.goto(shot.path);
          await settle(page, shot);
          const file = `${folder}/${shot.name}.png`;
          // A window as high as the page: what sticks to its edges stays there.
          const height = shot.act ? viewport.height : await page.evaluate(() => document.documentElement.scrollHeight);
          await page.setViewportSize({ width: viewport.width, height: Math.max(viewport.height, height) });
          await page.screenshot({ path: join(out, file) });
          await page.setViewportSize(viewport);
          files.push(file);
        }
        await context.close();
        console.log(`  ✓ ${folder}: ${wanted.length}`);
      }
    }
  }
  return files;
}

async function shoot(browser: Browser, console_: Console): Promise<string[]> {
  const { consoleUrl } = console_;
  const context = await browser.newContext({ baseURL: consoleUrl, ignoreHTTPSErrors: true, locale: "en-US" });
  const page = await context.newPage();
  await signIn(page, console_);
  const session = await context.storageState();
  const files = await shootAll(browser, consoleUrl, undefined, [{ name: "sign-in", path: "/sign-in" }]);
  if (!options.json) {
    files.push(...(await shootAll(browser, consoleUrl, session, emptyShots)));
    await fill(page);
  }
  const services = (await ask(page, "virtualService.rows", { limit: 1 }, true)) as { data: { id: string }[] };
  const nodes = (await ask(page, "node.list", { limit: 1 }, true)) as { data: { id: string }[] };
  const places = await page
    .locator("aside nav a")
    .evaluateAll((links) => links.map((link) => new URL((link as HTMLAnchorElement).href).pathname));
  const shots = shotsOf(places, { service: services.data[0]?.id, node: nodes.data[0]?.id });
  files.push(...(await shootAll(browser, consoleUrl, session, shots)));
  await context.close();
  return files;
}

/** A page that shows all of them, one page of the console a row. */
function index(files: readonly string[], note: string): string {
  const names = [...new Set(files.map((file) => file.slice(file.indexOf("/") + 1)))];
  const rows = names.map((name) => {
    const images = files
      .filter((file) => file.endsWith(`/${name}`))
      .map((file) => `<a href="${file}" title="${file}"><img loading="lazy" src="${file}" alt="${file}"></a>`);
    return `<h2>${name.replace(".png", "")}</h2><p>${images.join("")}</p>`;
  });
  const style =
    "body{font:14px sans-serif;margin:2rem}p{display:flex;gap:8px;overflow-x:auto;align-items:start}img{height:260px;border:1px solid #999}";
  return `<!doctype html><meta charset="utf-8"><title>Trigon</title><style>${style}</style><p>${note}</p>${rows.join("")}`;
}

const console_ = await open();
console.log(`Screenshots of ${console_.consoleUrl}, ${console_.note}`);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  mkdirSync(out, { recursive: true });
  const files = await shoot(browser, console_);
  writeFileSync(join(out, "index.html"), index(files, console_.note));
  console.log(`${files.length} screenshots in ${out}; look at ${join(out, "index.html")}`);
} finally {
  await browser.close();
  await console_.stop();
}
