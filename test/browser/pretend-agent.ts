import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { ClientRequest } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Where an appliance is, and a token with every scope. */
export interface Appliance {
  apiUrl: string;
  agentUrl: string;
  caFile: string;
  token: string;
}

type Counters = Record<"connections" | "inPackets" | "outPackets" | "inBytes" | "outBytes", number>;
type Plan = { fleetId: string; epoch: number; generation: number; fragments: { id: string; hash: string }[] };

type Call = (method: string, path: string, body?: unknown) => Promise<unknown>;

/**
 * A node that enrolled and speaks the agent protocol, but has no kernel: it says that it holds whatever it should. For pages that need a
 * fleet and no packets.
 */
export class PretendAgent {
  readonly #call: Call;
  readonly #run = `run-${Date.now()}`;
  #pass = 0;

  readonly #stream: () => ClientRequest;

  private constructor(
    readonly nodeId: string,
    readonly name: string,
    { call, stream }: { call: Call; stream: () => ClientRequest },
  ) {
    this.#call = call;
    this.#stream = stream;
  }

  static async enroll(
    appliance: Appliance,
    role: "director" | "realServer",
    name: string,
    address: string,
    directorGroupId: string | null = null,
  ): Promise<PretendAgent> {
    const folder = mkdtempSync(join(tmpdir(), "trigon-agent-"));
    const keyFile = join(folder, "key.pem");
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", keyFile, "-subj", "/CN=x"];
    const csr = execFileSync("openssl", ["req", "-new", ...kind], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const key = readFileSync(keyFile);
    rmSync(folder, { recursive: true });
    const ca = readFileSync(appliance.caFile);
    const authorization = `Bearer ${appliance.token}`;
    const made = await ask({
      url: `${appliance.apiUrl}/enrollment-tokens`,
      method: "POST",
      body: { role, directorGroupId },
      ca,
      authorization,
    });
    const leg = { name: "eth0", mac: "02:00:00:00:00:02", mtu: 1500, up: true, addresses: [{ address, prefix: 16 }] };
    const facts = {
      ...{ hostname: name, machineId: `m-${name}`, bootId: `b-${name}`, kernel: "6.1.0", architecture: "x86_64" },
      ...{ interfaces: [leg], routes: [], resolvers: [], iptables: "nft" },
    };
    const url = new URL("/enroll/v1/nodes", appliance.apiUrl).toString();
    const body = { protocol: 1, token: (made as { token: string }).token, csr, agentVersion: "1.0.0", facts };
    const answer = (await ask({ url, method: "POST", body, ca })) as { nodeId: string; certificate: string };
    const tls = { ca, cert: answer.certificate, key };
    return new PretendAgent(answer.nodeId, name, {
      call: (method, path, sent) => ask({ url: `${appliance.agentUrl}${path}`, method, body: sent, ...tls }),
      stream: () => request(`${appliance.agentUrl}/agent/v1/stream`, { ...tls, headers: { accept: "text/event-stream" } }),
    });
  }

  /** Answers every question on the stream as `answer` has it, until the page's test ends it. */
  listen(answer: (question: Record<string, string>) => object): { close(): void } {
    const stream = this.#stream();
    stream.on("error", () => undefined); // closed
    stream.on("response", (events) => {
      let text = "";
      events.setEncoding("utf8").on("error", () => undefined);
      events.on("data", (chunk: string) => {
        const lines = (text + chunk).split("\n");
        text = lines.pop()!;
        for (const line of lines.filter((one) => one.startsWith("data:"))) {
          const event = JSON.parse(line.slice(5)) as { type?: string; id: string; question: Record<string, string> };
          if (event.type !== "ask") continue;
          void this.#call("POST", "/agent/v1/answer", { protocol: 1, id: event.id, answer: answer(event.question) });
        }
      });
    });
    stream.end();
    return { close: () => stream.destroy() };
  }

  /** Takes the plan and says that all of it is in place, but for what `more` says of it. */
  async turn(more: { failed?: string; health?: unknown[]; groups?: unknown[] } = {}): Promise<void> {
    const plan = (await this.#call("GET", "/agent/v1/plan")) as Plan;
    const { fleetId, epoch, generation, fragments } = plan;
    await this.#call("POST", "/agent/v1/report", {
      ...{ protocol: 1, agentVersion: "1.0.0", fleetId, epoch, generation, full: true, gone: [], events: [] },
      ...{
        bootId: `b-${this.name}`,
        runId: this.#run,
        pass: ++this.#pass,
        at: new Date().toISOString(),
        health: more.health ?? [],
        groups: more.groups ?? [],
      },
      fragments: fragments.map(({ id, hash }) => ({
        ...{ id, hash, reason: more.failed ? "x" : null, message: more.failed ?? null },
        state: more.failed ? "failed" : "applied",
      })),
    });
  }

  /** Counters as a kernel that began with zero would have them now. */
  async count(
    services: { serviceId: string; counters: Counters; destinations: unknown[] }[],
    replies: unknown[] = [],
  ): Promise<void> {
    const head = { protocol: 1, bootId: `b-${this.name}`, runId: this.#run, at: new Date().toISOString() };
    await this.#call("POST", "/agent/v1/counters", { ...head, services, replies });
  }
}

function ask(what: {
  url: string;
  method: string;
  body?: unknown;
  ca: Buffer;
  authorization?: string;
  cert?: string;
  key?: Buffer;
}): Promise<unknown> {
  const { url, method, body, ca, authorization, cert, key } = what;
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", ...(authorization ? { authorization } : {}) };
    const call = request(url, { method, ca, cert, key, headers }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      answer.on("end", () => {
        const status = answer.statusCode ?? 0;
        if (status >= 300) reject(new Error(`${method} ${url}: ${status} ${text.slice(0, 500)}`));
        else resolve(text === "" ? null : JSON.parse(text));
      });
    });
    call.on("error", reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
