// The whole appliance on this machine: embedded Postgres, controller, web app. Uses only Node's built-ins until node_modules exist.
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { request } from "node:https";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { keepRunning, run } from "./processes.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Whether `npm ci` is due: npm writes its own record last, so a lock file newer than that has not been installed yet. */
export function needsInstall() {
  const written = (path) => (existsSync(join(root, path)) ? statSync(join(root, path)).mtimeMs : 0);
  return written("node_modules/.package-lock.json") < written("package-lock.json");
}

/**
 * Brings what a checkout lacks: node_modules, the database client, the agent bundle, the web app's build. What is built already is known to
 * turbo by its sources, and costs a second or two.
 * @param {{ web?: boolean, agent?: boolean, onStep?: (text: string) => void, onLine?: (line: string) => void }} [options]
 */
export async function prepare({ web = true, agent = true, onStep = () => undefined, onLine } = {}) {
  const env = { ...process.env, CHECKPOINT_DISABLE: "1", NEXT_TELEMETRY_DISABLED: "1", TURBO_TELEMETRY_DISABLED: "1" };
  const npm = (text, args) => {
    onStep(text);
    return run("npm", args, { cwd: root, env, onLine });
  };
  if (needsInstall()) await npm("npm ci (a minute or two)", ["ci", "--no-audit", "--no-fund"]);
  const wanted = [...(agent ? ["agent"] : []), ...(web ? ["web"] : [])];
  await npm("generating the database client", ["run", "generate"]);
  if (wanted.length > 0)
    await npm(`building ${wanted.join(" and ")}`, ["run", "build", "--", ...wanted.map((name) => `--filter=@trigon/${name}`)]);
}

/**
 * @typedef {object} Appliance
 * @property {string} consoleUrl where a browser on this machine opens the console
 * @property {string} apiUrl the REST API's base, `…/api/v1`
 * @property {string} agentUrl
 * @property {string} caFile PEM of the appliance's CA
 * @property {string} databaseUrl
 * @property {{ username: string, password: string | null }} admin the password is null when it was changed or removed from the data folder
 * @property {number} controllerPid
 * @property {() => number | undefined} postgresPid
 * @property {() => Promise<void>} stop
 */

/**
 * Starts everything and answers when the console is served. Both listeners are on loopback unless told otherwise.
 * @param {{ dataDir?: string, databaseUrl?: string, listen?: string, agentListen?: string, publicUrl?: string, agentUrl?: string,
 *   certificateNames?: string[], web?: boolean, dev?: boolean, logToOutput?: boolean, env?: NodeJS.ProcessEnv,
 *   onStep?: (text: string) => void }} [options] `listen` may name several addresses with commas, and `unix:/path`
 * @returns {Promise<Appliance>}
 */
export async function startAppliance(options = {}) {
  const { web = true, dev = false, logToOutput = false, onStep = () => undefined } = options;
  const env = { ...process.env, ...options.env };
  const dataDir = resolve(root, options.dataDir ?? env.TRIGON_DATA ?? ".trigon");
  mkdirSync(dataDir, { recursive: true });
  const logFile = (name) => (logToOutput ? null : join(dataDir, "log", `${name}.log`));
  const stops = [];
  let stopped;
  const stopAll = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  // A second signal waits for the same stop instead of cutting it short.
  const stop = () => {
    stopped ??= stopAll();
    return stopped;
  };
  try {
    let databaseUrl = options.databaseUrl ?? env.DATABASE_URL;
    let postgresPid = () => undefined;
    if (!databaseUrl) {
      onStep("starting Postgres");
      const { register } = await import("tsx/esm/api");
      const unregister = register();
      const { startEmbeddedPostgres } = await import("../packages/db/src/embedded-postgres.ts");
      await unregister();
      const postgres = await startEmbeddedPostgres({ dataDir });
      // Whoever leaves without `stop`, in the middle of a start for instance, leaves no Postgres behind (SIGINT: its fast shutdown).
      const hangUp = () => {
        const pid = postgres.pid();
        if (pid !== undefined) process.kill(pid, "SIGINT");
      };
      process.once("exit", hangUp);
      stops.push(async () => {
        await postgres.stop();
        process.off("exit", hangUp);
      });
      databaseUrl = postgres.url;
      postgresPid = () => postgres.pid();
    }
    const webPort = web ? await freePort() : 0;
    if (web) {
      onStep("starting the web app");
      const args = [
        join(root, "node_modules/next/dist/bin/next"),
        dev ? "dev" : "start",
        "-H",
        "127.0.0.1",
        "-p",
        String(webPort),
      ];
      const child = keepRunning({
        name: "web",
        args,
        cwd: join(root, "apps/web"),
        env: { ...env, NODE_ENV: dev ? "development" : "production", NEXT_TELEMETRY_DISABLED: "1" },
        logFile: logFile("web"),
      });
      stops.push(() => child.stop());
    }
    onStep("starting the controller");
    const set = (name, value) => (value === undefined ? {} : { [name]: value });
    let said = "";
    let ready;
    let giveUp;
    const readiness = new Promise((resolve, reject) => {
      ready = resolve;
      giveUp = reject;
    });
    readiness.catch(() => undefined);
    const notStarted = () => new Error(`The controller did not start:\n${said}`);
    const controller = keepRunning({
      name: "controller",
      args: ["--import", "tsx", join(root, "apps/controller/src/main.ts")],
      cwd: root,
      env: {
        ...env,
        DATABASE_URL: databaseUrl,
        TRIGON_DATA: dataDir,
        TRIGON_CACHE: env.TRIGON_CACHE ?? join(root, ".trigon/cache"),
        TRIGON_WEB_URL: web ? `http://127.0.0.1:${webPort}` : (env.TRIGON_WEB_URL ?? "http://127.0.0.1:3000"),
        ...set("TRIGON_LISTEN", options.listen),
        ...set("TRIGON_AGENT_LISTEN", options.agentListen),
        ...set("TRIGON_PUBLIC_URL", options.publicUrl),
        ...set("TRIGON_AGENT_URL", options.agentUrl),
        ...set("TRIGON_CERT_NAMES", options.certificateNames?.join(",")),
      },
      logFile: logFile("controller"),
      onLine: (text) => {
        said = (said + text).slice(-4_000);
      },
      onMessage: (message) => message?.ready && ready(message.ready),
      onEnd: (quickEnds) => quickEnds >= 3 && giveUp(notStarted()),
    });
    stops.push(() => controller.stop());
    const started = await within(readiness, 90_000, notStarted);
    const { port, caFile, agentUrl } = started;
    const consoleUrl = `https://localhost:${port}`;
    const ca = readFileSync(caFile, "utf8");
    if (web)
      await until(async () => (await statusOf(`${consoleUrl}/`, ca)) < 500, 90_000, "The web app did not start; see log/web.log");
    return {
      consoleUrl,
      apiUrl: `${consoleUrl}/api/v1`,
      agentUrl,
      caFile,
      databaseUrl,
      admin: firstAdmin(dataDir, env),
      get controllerPid() {
        return controller.pid;
      },
      postgresPid,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function firstAdmin(dataDir, env) {
  const file = join(dataDir, "first-admin.json");
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8"));
  return { username: env.TRIGON_ADMIN_USER ?? "admin", password: env.TRIGON_ADMIN_PASSWORD ?? null };
}

/** A loopback port that nobody listens on now; rejects when `wanted` is taken. */
export function freePort(wanted = 0) {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(wanted, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

/** The status of a GET over TLS that trusts `ca` only; 599 when there was no answer. */
function statusOf(url, ca) {
  return new Promise((resolve) => {
    const asked = request(url, { ca, timeout: 10_000, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 599);
    });
    asked.once("error", () => resolve(599));
    asked.once("timeout", () => asked.destroy());
    asked.end();
  });
}

async function until(isSo, deadlineMs, otherwise) {
  const deadline = Date.now() + deadlineMs;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(otherwise);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function within(promise, deadlineMs, otherwise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(otherwise()), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
