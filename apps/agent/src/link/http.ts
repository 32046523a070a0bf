import { Agent, fetch as undiciFetch } from "undici";

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

/**
 * JSON over HTTPS with the appliance's own CA as the only root. undici's own fetch goes with its own Agent: the fetch built into Node comes
 * from another undici.
 */
export class HttpsClient {
  #dispatcher: Agent;

  constructor(material: TlsMaterial) {
    this.#dispatcher = dispatcherFor(material);
  }

  /** New connections use the new material; those under way finish on the old. */
  replaceMaterial(material: TlsMaterial): void {
    const old = this.#dispatcher;
    this.#dispatcher = dispatcherFor(material);
    void old.close().catch(() => old.destroy());
  }

  readonly fetch: typeof globalThis.fetch = ((url: string, init?: object) =>
    undiciFetch(url, { ...init, dispatcher: this.#dispatcher } as never)) as never;

  /** Throws `HttpError` for an answer that is not 2xx, and what fetch throws for no answer at all. */
  async json(url: string, options: RequestOptions = {}): Promise<unknown> {
    const text = await this.text(url, options);
    return text === "" ? undefined : JSON.parse(text);
  }

  /** The same, unparsed. */
  async text(url: string, options: RequestOptions = {}): Promise<string> {
    const { body, timeoutMs = 15_000, signal } = options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const response = await this.fetch(url, {
      method: body === undefined ? "GET" : "POST",
      headers: { accept: "application/json", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    if (!response.ok) throw httpErrorFrom(response.status, text);
    return text;
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }
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

function dispatcherFor({ ca, key, certificate }: TlsMaterial): Agent {
  return new Agent({
    connect: { ca, ...(key && certificate ? { key, cert: certificate } : {}), minVersion: "TLSv1.3", timeout: 5_000 },
    bodyTimeout: silenceMs,
    headersTimeout: 30_000,
    keepAliveTimeout: 30_000,
    connections: 4,
  });
}
