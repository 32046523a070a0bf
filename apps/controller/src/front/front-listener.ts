import type { IncomingMessage, ServerResponse } from "node:http";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import type { Hono } from "hono";
import type { FrontEnv } from "./env.ts";
import { isOurs } from "./front-app.ts";
import type { WebProxy } from "./web-proxy.ts";

/**
 * The front door. HTTP/2 as well as HTTP/1.1: a browser opens at most six HTTP/1.1 connections, and every live table holds one.
 * Requests are told apart before they become `Request` objects, so that the web app's pass through untouched.
 */
export function createFrontServer(tls: { cert: string; key: string }, app: Hono<FrontEnv>, web: WebProxy): Http2SecureServer {
  const ours = getRequestListener(app.fetch);
  const server = createSecureServer({ ...tls, minVersion: "TLSv1.2", allowHTTP1: true }, (incoming, outgoing) => {
    if (isOurs(pathOf(incoming))) void ours(incoming, outgoing);
    else web.request(incoming as unknown as IncomingMessage, outgoing as unknown as ServerResponse);
  });
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isOurs(pathOf(incoming))) socket.destroy();
    else web.upgrade(incoming, socket, head);
  });
  // A peer that breaks off in the middle is no event of ours.
  server.on("sessionError", () => undefined);
  return server;
}

const pathOf = ({ url = "/" }: { url?: string }) => url.split("?", 1)[0] ?? "/";
