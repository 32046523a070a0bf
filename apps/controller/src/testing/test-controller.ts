import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "@trigon/db/free-port";
import { pino } from "pino";
import { readConfig } from "../config.ts";
import { type Controller, startController } from "../controller.ts";

const root = fileURLToPath(new URL("../../../..", import.meta.url));

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever came
  json: any;
}

export interface AskOptions {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** A client certificate, PEM. */
  identity?: { key: string; cert: string };
}

/** A real controller on loopback ports of its own, asked over real TLS. */
export interface TestController {
  controller: Controller;
  dataDir: string;
  origin: string;
  agentOrigin: string;
  ca: string;
  admin: { username: string; password: string };
  ask(path: string, options?: AskOptions): Promise<Answer>;
  askAsAgent(path: string, options?: AskOptions): Promise<Answer>;
  /** Opens a stream of server-sent events and answers each `data:` as it comes. */
  stream(path: string, options?: AskOptions & { toAgents?: boolean }): Promise<EventStream>;
  /** A session cookie of the first administrator. */
  signIn(): Promise<string>;
  /** An API token with these scopes. */
  token(scopes: string[]): Promise<string>;
  close(): Promise<void>;
}

export interface EventStream {
  /** The next event's data, parsed. Rejects when none comes in time or the stream ends. */
  next(timeoutMs?: number): Promise<{ id: string | null; event: string | null; data: unknown }>;
  ended: Promise<void>;
  close(): void;
}

export async function startTestController(databaseUrl: string, shared?: { dataDir: string }): Promise<TestController> {
  const dataDir = shared?.dataDir ?? (await mkdtemp(join(tmpdir(), "trigon-controller-")));
  const [port, agentPort] = [await freePort(), await freePort()];
  const config = readConfig(
    {
      DATABASE_URL: databaseUrl,
      TRIGON_DATA: dataDir,
      TRIGON_CACHE: join(tmpdir(), "trigon-test-cache"),
      TRIGON_LISTEN: `127.0.0.1:${port}`,
      TRIGON_AGENT_LISTEN: `127.0.0.1:${agentPort}`,
      TRIGON_WEB_URL: "http://127.0.0.1:9",
      TRIGON_ADMIN_PASSWORD: "correct-horse-battery",
    },
    root,
  );
  const log = pino({ level: process.env.TRIGON_TEST_LOG ?? "silent" });
  const controller = await startController({ config, root, log, signal: new AbortController().signal });
  const ca = await readFile(controller.caFile, "utf8");
  const origin = `https://localhost:${port}`;
  const agentOrigin = `https://localhost:${agentPort}`;
  const admin = { username: "admin", password: "correct-horse-battery" };

  const open = (base: string, path: string, { method, body, headers, identity }: AskOptions): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
      const outgoing = request(new URL(path, base), {
        method: method ?? (payload === undefined ? "GET" : "POST"),
        ca,
        agent: false,
        headers: { ...(payload === undefined ? {} : { "content-type": "application/json" }), ...headers },
        ...identity,
      });
      outgoing.once("error", reject);
      outgoing.once("response", resolve);
      outgoing.end(payload);
    });
  const whole = async (incoming: IncomingMessage): Promise<Answer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString("utf8");
    const isJson = /json/.test(incoming.headers["content-type"] ?? "");
    return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, json: isJson && text ? JSON.parse(text) : null };
  };
  const ask = async (path: string, options: AskOptions = {}) => whole(await open(origin, path, options));

  const self: TestController = {
    controller,
    dataDir,
    origin,
    agentOrigin,
    ca,
    admin,
    ask,
    askAsAgent: async (path, options = {}) => whole(await open(agentOrigin, path, options)),
    stream: async (path, options = {}) => {
      const incoming = await open(options.toAgents ? agentOrigin : origin, path, options);
      if (incoming.statusCode !== 200)
        throw new Error(`the stream answered ${incoming.statusCode}: ${(await whole(incoming)).text}`);
      return eventStream(incoming);
    },
    async signIn() {
      const answer = await ask("/api/auth/sign-in/username", { body: admin });
      if (answer.status !== 200) throw new Error(`sign-in answered ${answer.status}: ${answer.text}`);
      return (answer.headers["set-cookie"] ?? []).map((cookie) => cookie.split(";", 1)[0]).join("; ");
    },
    async token(scopes) {
      const body = { name: `test ${scopes.join(" ").replaceAll(":", "-")}`, scopes, expiresInDays: 1 };
      const answer = await ask("/api/v1/api-tokens", { body, headers: { cookie: await self.signIn() } });
      return answer.json.token;
    },
    async close() {
      await controller.close();
      if (!shared) await rm(dataDir, { recursive: true, force: true });
    },
  };
  return self;
}

function eventStream(incoming: IncomingMessage): EventStream {
  const queue: { id: string | null; event: string | null; data: unknown }[] = [];
  let wake: () => void = () => undefined;
  let isOver = false;
  let rest = "";
  incoming.setEncoding("utf8");
  incoming.on("data", (text: string) => {
    const blocks = (rest + text).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const field = (name: string) =>
        block
          .split("\n")
          .find((line) => line.startsWith(`${name}: `))
          ?.slice(name.length + 2) ?? null;
      const data = field("data");
      if (data !== null) queue.push({ id: field("id"), event: field("event"), data: data === "" ? null : JSON.parse(data) });
    }
    wake();
  });
  const ended = new Promise<void>((resolve) => {
    const over = () => {
      isOver = true;
      resolve();
      wake();
    };
    incoming.on("close", over).on("error", over);
  });
  return {
    ended,
    async next(timeoutMs = 5_000) {
      const deadline = Date.now() + timeoutMs;
      for (;;) {
        const first = queue.shift();
        if (first) return first;
        if (isOver) throw new Error("the stream ended");
        const left = deadline - Date.now();
        if (left <= 0) throw new Error(`no event in ${timeoutMs} ms`);
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    },
    close: () => void incoming.destroy(),
  };
}
