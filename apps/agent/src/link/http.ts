import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";

/** PEM texts. `ca` alone (enrollment) or with a client certificate (everything after). */
export interface TlsMaterial {
  ca: string;
  key?: string;
  certificate?: string;
}

/** What the other end answered when it was not 2xx. `code` is problem+json's, when there was one. */
export class HttpError extends Error {
  override name = "HttpError";
  readonly status: number;
  readonly code: string | null;

  constructor(status: number, code: string | null, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export interface RequestOptions {
  body?: unknown;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** The stream is pinged every 15 s: a minute of silence is a dead connection. */
const silenceMs = 60_000;
const firstAnswerMs = 30_000;

/** JSON over HTTPS with the appliance's own CA as the only root. */
export class HttpsClient {
  #agent: Agent;

  constructor(material: TlsMaterial) {
    this.#agent = agentFor(material);
  }

  /** New connections use the new material; requests under way finish on the old. */
  replaceMaterial(material: TlsMaterial): void {
    const old = this.#agent;
    this.#agent = agentFor(material);
    for (const socket of Object.values(old.freeSockets).flat()) socket?.destroy();
  }

  /** Throws `HttpError` for an answer that is not 2xx, and the connection's error for no answer at all. */
  async json(url: string, options: RequestOptions = {}): Promise<unknown> {
    const bytes = await this.bytes(url, options);
    return bytes.length === 0 ? undefined : JSON.parse(bytes.toString());
  }

  /** The same, unparsed. */
  async bytes(url: string, options: RequestOptions = {}): Promise<Buffer> {
    const { body, timeoutMs = 15_000, signal } = options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const response = await this.#ask(url, body, "application/json", signal ? AbortSignal.any([signal, timeout]) : timeout);
    const bytes = await bytesOf(response);
    if (!isGood(response)) throw httpErrorFrom(response.statusCode!, bytes.toString());
    return bytes;
  }

  /** The body of a GET that has no end, in text as it comes; throws as `json` does, and for a minute of silence. */
  async *stream(url: string, accept: string, signal: AbortSignal): AsyncGenerator<string> {
    const response = await this.#ask(url, undefined, accept, signal, firstAnswerMs);
    if (!isGood(response)) throw httpErrorFrom(response.statusCode!, (await bytesOf(response)).toString());
    response.setTimeout(silenceMs, () => response.destroy(new Error(`Nothing was heard for ${silenceMs / 1_000} s`)));
    response.setEncoding("utf8");
    yield "";
    for await (const text of response) yield text as string;
  }

  async #ask(url: string, body: unknown, accept: string, signal: AbortSignal, timeoutMs?: number): Promise<IncomingMessage> {
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    for (;;) {
      const asked = this.#send(url, content, accept, signal, timeoutMs);
      try {
        return await asked.response;
      } catch (error) {
        // The other end closed a kept connection just as it was taken: every request of the protocol may be said twice.
        if (!asked.isOnKeptSocket() || (error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
      }
    }
  }

  #send(url: string, content: Buffer | undefined, accept: string, signal: AbortSignal, timeoutMs?: number) {
    const asked = request(url, {
      agent: this.#agent,
      method: content ? "POST" : "GET",
      headers: {
        accept,
        ...(content ? { "content-type": "application/json", "content-length": content.length } : {}),
      },
      signal,
    });
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      asked.once("response", resolve);
      asked.once("error", (error) => reject(signal.aborted ? (signal.reason ?? error) : error));
    });
    if (timeoutMs !== undefined)
      asked.setTimeout(timeoutMs, () => asked.destroy(new Error(`No answer within ${timeoutMs / 1_000} s`)));
    asked.end(content);
    return { response, isOnKeptSocket: () => asked.reusedSocket };
  }

  close(): void {
    this.#agent.destroy();
  }
}

const isGood = ({ statusCode = 0 }: IncomingMessage) => statusCode >= 200 && statusCode < 300;

async function bytesOf(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

function httpErrorFrom(status: number, text: string): HttpError {
  try {
    const problem = JSON.parse(text) as { code?: unknown; detail?: unknown; title?: unknown };
    const detail = problem.detail ?? problem.title;
    return new HttpError(
      status,
      typeof problem.code === "string" ? problem.code : null,
      typeof detail === "string" ? detail : `HTTP ${status}`,
    );
  } catch {
    return new HttpError(status, null, `HTTP ${status}`);
  }
}

function agentFor({ ca, key, certificate }: TlsMaterial): Agent {
  return new Agent({
    ca,
    ...(key && certificate ? { key, cert: certificate } : {}),
    minVersion: "TLSv1.3",
    keepAlive: true,
    maxSockets: 4,
  });
}
