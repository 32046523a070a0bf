import { chmodSync, rmSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { StringDecoder } from "node:string_decoder";

/** What a running agent answers on its unix socket, so that a command never works on the same kernel beside it. */
export type ControlHandlers = Record<string, (body: unknown, json: readonly Buffer[]) => Promise<unknown>>;

const mostBytes = 64 * 1024 * 1024;

/** Serves `POST /<name>` on a unix socket that only root can reach. */
export async function serveControl(socketPath: string, handlers: ControlHandlers): Promise<{ close(): void }> {
  rmSync(socketPath, { force: true });
  const server = createServer((incoming, answer) => {
    const reply = (status: number, body: unknown) => {
      answer.writeHead(status, { "content-type": "application/json" });
      answer.end(JSON.stringify(body));
    };
    const handler = handlers[incoming.url?.slice(1) ?? ""];
    if (incoming.method !== "POST" || !handler) return reply(404, { detail: "no such command" });
    const chunks: Buffer[] = [];
    const decoder = new StringDecoder("utf8");
    let text = ""; // a plan of megabytes is never copied into one buffer
    let bytes = 0;
    incoming.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > mostBytes) return incoming.destroy();
      chunks.push(chunk);
      text += decoder.write(chunk);
    });
    incoming.on("end", () => {
      text += decoder.end();
      void (async () => handler(text === "" ? undefined : JSON.parse(text), chunks))().then(
        (result) => reply(200, result ?? null),
        (error: unknown) => reply(500, { detail: error instanceof Error ? error.message : String(error) }),
      );
    });
  });
  // Made with no rights for others from the start: between listen and chmod somebody could connect.
  const before = process.umask(0o177);
  await new Promise<AddressInfo | string | null>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => resolve(server.address()));
  }).finally(() => process.umask(before));
  chmodSync(socketPath, 0o600);
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Asks the running agent. Null when none runs. Throws what the agent answered when it could not do it. */
export function askAgent(socketPath: string, command: string, body?: unknown): Promise<{ answer: unknown } | null> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, path: `/${command}`, method: "POST" }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const answer = JSON.parse(Buffer.concat(chunks).toString("utf8"));
        if (incoming.statusCode === 200) resolve({ answer });
        else reject(new Error(answer.detail));
      });
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" || error.code === "ECONNREFUSED") resolve(null);
      else reject(error);
    });
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
