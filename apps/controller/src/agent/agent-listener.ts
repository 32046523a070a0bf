import { X509Certificate } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { TLSSocket } from "node:tls";
import { getRequestListener } from "@hono/node-server";
import type { Log } from "../log.ts";
import { type AgentPort, createAgentApp } from "./agent-app.ts";
import { type Peer, peerIdentity } from "./peer-identity.ts";
import type { PlanHub } from "./plan-hub.ts";

/**
 * The mTLS listener. A peer is judged once, when its handshake is done: no certificate, a foreign or a forged one never gets to send a
 * request. A revoked node may connect, to be told so.
 */
export function createAgentServer(options: {
  tls: { cert: string; key: string };
  ca: string;
  port: AgentPort;
  hub: PlanHub;
  log: Log;
  now?: () => number;
}): Server {
  const { tls, ca, port, hub, log, now = Date.now } = options;
  const authority = new X509Certificate(ca);
  const peers = new WeakMap<TLSSocket, Peer>();
  const app = createAgentApp({ port, hub, log, peerOf: (socket) => peers.get(socket) });
  const listener = getRequestListener(app.fetch);
  const server = createServer(
    {
      ...tls,
      ca,
      requestCert: true,
      // Judged below: OpenSSL would also refuse an expired certificate, which may still be renewed.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      keepAliveTimeout: 65_000,
      headersTimeout: 20_000,
    },
    (incoming, outgoing) => void listener(incoming, outgoing),
  );
  server.prependListener("secureConnection", (socket: TLSSocket) => {
    const peer = peerIdentity(socket.getPeerX509Certificate(), authority, now());
    const reason = socket.authorizationError as unknown as string | undefined;
    if (!peer || !(socket.authorized || (peer.isExpired && reason === "CERT_HAS_EXPIRED"))) {
      log.warn({ address: socket.remoteAddress, reason }, "agent connection refused: not one of our certificates");
      socket.destroy();
      return;
    }
    peers.set(socket, peer);
  });
  server.on("tlsClientError", (error) => log.debug({ err: error }, "agent handshake failed"));
  return server;
}
