import { readFileSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { request } from "node:https";

export interface RestAnswer<T> {
  status: number;
  headers: IncomingHttpHeaders;
  body: T;
}

/** The REST API from outside, as any program would use it: HTTPS with the appliance's CA, a bearer token or a session cookie. */
export class RestClient {
  readonly #ca: string;
  #headers: Record<string, string> = {};

  constructor(
    readonly origin: string,
    caFile: string,
  ) {
    this.#ca = readFileSync(caFile, "utf8");
  }

  useToken(token: string): this {
    this.#headers = { authorization: `Bearer ${token}` };
    return this;
  }

  /** Signs in with user name and password; later calls carry the session. */
  async signIn(username: string, password: string): Promise<this> {
    const answer = await this.send("POST", "/api/auth/sign-in/username", { username, password }, { origin: this.origin });
    if (answer.status !== 200) throw new Error(`sign-in answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    const cookies = (answer.headers["set-cookie"] ?? []).map((cookie) => cookie.split(";", 1)[0]).join("; ");
    this.#headers = { cookie: cookies, origin: this.origin };
    return this;
  }

  /** Any status is an answer; only a broken connection throws. */
  send<T = unknown>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<RestAnswer<T>> {
    return new Promise((resolve, reject) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const call = request(
        new URL(path, this.origin),
        {
          method,
          ca: this.#ca,
          headers: { ...this.#headers, ...(payload === undefined ? {} : { "content-type": "application/json" }), ...headers },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString();
            const isJson = /json/.test(response.headers["content-type"] ?? "");
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: (isJson && text ? JSON.parse(text) : text) as T,
            });
          });
        },
      );
      call.on("error", reject);
      call.setTimeout(30_000, () => call.destroy(new Error(`${method} ${path} took more than 30 s`)));
      call.end(payload);
    });
  }

  /** The body of a 2xx answer; anything else throws with the problem's own words. */
  async call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const answer = await this.send<T>(method, `/api/v1${path}`, body, headers);
    if (answer.status < 200 || answer.status > 299) {
      throw new Error(`${method} ${path} answered ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer.body;
  }
}
