import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type { FrontEnv } from "./env.ts";
import { isOurs } from "./front-app.ts";
import type { WebProxy } from "./web-proxy.ts";

/** The front door. Requests are told apart before they become `Request` objects, so that the web app's pass through untouched. */
export function createFrontServer(tls: { cert: string; key: string }, app: Hono<FrontEnv>, web: WebProxy): Server {
  const ours = getRequestListener(app.fetch);
  const server = createServer({ ...tls, minVersion: "TLSv1.2", keepAliveTimeout: 65_000 }, (incoming, outgoing) => {
    const path = (incoming.url ?? "/").split("?", 1)[0] ?? "/";
    if (isOurs(path)) void ours(incoming, outgoing);
    else web.request(incoming, outgoing);
  });
  server.on("upgrade", (incoming, socket: Duplex, head) => {
    const path = (incoming.url ?? "/").split("?", 1)[0] ?? "/";
    if (isOurs(path)) socket.destroy();
    else web.upgrade(incoming, socket, head);
  });
  return server;
}
