import { Agent, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { createProxyServer, proxyUpgrade } from "httpxy";

export interface WebProxy {
  request(incoming: IncomingMessage, outgoing: ServerResponse): void;
  upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): void;
}

/** Headers of one HTTP/1.1 connection, which HTTP/2 forbids (RFC 9113 8.2.2). */
const hopByHop = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] as const;

/** What a client says of forwarding is its own claim: only what this listener saw goes on to the web app. */
function dropForwardingClaims(incoming: IncomingMessage): void {
  for (const name of Object.keys(incoming.headers)) {
    if (name.startsWith("x-forwarded-") || name === "forwarded") delete incoming.headers[name];
  }
}

/** Everything that is not the API's goes to the web app at `webUrl`, unread: HEAD, 304, compression and aborts stay exact. */
export function createWebProxy(webUrl: string, onError: (error: Error) => void): WebProxy {
  const target = new URL(webUrl);
  // A connection for each request: one kept alive may be closed by the web app just as the next request goes out on it, which is then lost.
  const agent = new Agent({ keepAlive: false, maxSockets: 256 });
  const proxy = createProxyServer({ target: webUrl, xfwd: true, agent });
  proxy.on("error", (error, _incoming, outgoing) => {
    onError(error);
    if (outgoing && "writeHead" in outgoing && !outgoing.headersSent) {
      const response = outgoing as ServerResponse;
      response.writeHead(502, { "content-type": "text/plain; charset=utf-8", "retry-after": "2" });
      response.end("The web app does not answer. The API, the agents and all traffic go on without it.\n");
    } else {
      outgoing?.destroy();
    }
  });
  proxy.on("proxyRes", (answer, incoming) => {
    // That the web app closes its connection is nothing to a client of HTTP/1.1; of HTTP/2 none of them may be told.
    for (const name of incoming.httpVersionMajor < 2 ? ["connection", "keep-alive"] : hopByHop) delete answer.headers[name];
  });
  return {
    request(incoming, outgoing) {
      dropForwardingClaims(incoming);
      void proxy.web(incoming, outgoing).catch(onError);
    },
    upgrade(incoming, socket, head) {
      dropForwardingClaims(incoming);
      socket.on("error", () => socket.destroy());
      proxyUpgrade({ host: target.hostname, port: Number(target.port || 80) }, incoming, socket as never, head, {
        xfwd: true,
      }).catch((error: Error) => {
        onError(error);
        socket.destroy();
      });
    },
    close: () => agent.destroy(),
  };
}
