import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { request } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Listening, listenOn } from "../listen.ts";
import type { FrontEnv } from "./env.ts";
import { createFrontServer } from "./front-listener.ts";
import { createWebProxy, type WebProxy } from "./web-proxy.ts";

let folder: string;
let ca: string;
let web: Server;
let proxy: WebProxy;
let door: Listening;
let session: ClientHttp2Session;
const errors: Error[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trigon-proxy-"));
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(folder, "key.pem")];
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  execFileSync("openssl", ["req", "-x509", ...key, ...name, "-days", "2", "-out", join(folder, "cert.pem")], { stdio: "ignore" });
  ca = readFileSync(join(folder, "cert.pem"), "utf8");
  // Says what it was told, with headers that only HTTP/1.1 knows. Its connections end when idle, at the worst moment: with the next request.
  const served = new WeakSet<Socket>();
  web = createServer({ keepAliveTimeout: 5_000 }, (incoming, outgoing) => {
    if (served.has(incoming.socket)) return void incoming.socket.destroy();
    served.add(incoming.socket);
    outgoing.setHeader("keep-alive", "timeout=5");
    outgoing.setHeader("x-method", incoming.method ?? "");
    outgoing.end(incoming.method === "HEAD" ? undefined : JSON.stringify(incoming.headers));
  });
  web.on("upgrade", (_incoming, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => web.listen(0, "127.0.0.1", resolve));
  proxy = createWebProxy(`http://127.0.0.1:${(web.address() as AddressInfo).port}`, (error) => errors.push(error));
  const server = createFrontServer({ cert: ca, key: readFileSync(join(folder, "key.pem"), "utf8") }, new Hono<FrontEnv>(), proxy);
  door = await listenOn(server, [{ host: "127.0.0.1", port: 0 }]);
  session = connect(`https://localhost:${door.ports[0]}`, { ca });
});
afterAll(async () => {
  session.destroy();
  await door.close();
  proxy.close();
  web.close();
  rmSync(folder, { recursive: true });
});

async function over2(headers: Record<string, string>) {
  const stream = session.request({ ":path": "/page", ...headers });
  stream.end();
  const [answer] = (await once(stream, "response")) as [IncomingHttpHeaders];
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) text += chunk;
  return { answer, text };
}
const options = (path: string, headers: Record<string, string> = {}) => ({
  host: "localhost",
  port: door.ports[0],
  ca,
  path,
  headers,
  agent: false as const,
});

test("the web app's pages pass over HTTP/2, HEAD too", async () => {
  const get = await over2({});
  expect(get.answer).toMatchObject({ ":status": 200, "x-method": "GET" });
  expect(get.answer["keep-alive"]).toBeUndefined();
  expect(JSON.parse(get.text)["x-forwarded-proto"]).toBe("https");
  const head = await over2({ ":method": "HEAD" });
  expect(head).toMatchObject({ answer: { ":status": 200, "x-method": "HEAD" }, text: "" });
});

test("what a client claims of forwarding does not reach the web app", async () => {
  const claims = { "x-forwarded-for": "203.0.113.9", "x-forwarded-host": "evil.example", forwarded: "for=203.0.113.9" };
  const outgoing = request(options("/page", claims)).end();
  const [incoming] = await once(outgoing, "response");
  const seen: string[] = [JSON.stringify(await incoming.setEncoding("utf8").toArray()), (await over2(claims)).text];
  for (const text of seen) expect(text).not.toMatch(/203\.0\.113\.9|evil\.example/);
});

test("an upgrade goes through, for the web app only", async () => {
  const upgrade = { connection: "upgrade", upgrade: "websocket" };
  const [, socket] = await once(request(options("/_next/hmr", upgrade)).end(), "upgrade");
  socket.write("hello");
  expect(String((await once(socket, "data"))[0])).toBe("hello");
  socket.destroy();
  const ours = request(options("/api/trpc", upgrade)).end();
  await expect(once(ours, "response")).rejects.toThrow();
});

test("a web app that is away is a 502 in words, over both", async () => {
  web.closeAllConnections();
  await new Promise((resolve) => web.close(resolve));
  const { answer, text } = await over2({});
  expect(answer[":status"]).toBe(502);
  expect(text).toContain("The web app does not answer");
  const [incoming] = await once(request(options("/page")).end(), "response");
  expect(incoming.statusCode).toBe(502);
  incoming.resume();
});
