import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttp, type RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTls } from "node:tls";
import { type ActiveCheck, HealthCheck } from "@trigon/model";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { passesStatus, probe } from "./index.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const listen = (server: Server, host = "127.0.0.1") =>
  new Promise<number>((resolve) => {
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => sockets.add(socket.on("error", () => undefined)));
    closing.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port));
  });
const tcpServer = (onConnection: (socket: Socket) => void) => listen(createServer(onConnection));
const httpServer = (listener: RequestListener) => listen(createHttp(listener));

/** What a check of this kind says of a port on the loopback. */
async function ask(check: { kind: string; [member: string]: unknown }, port: number, rip = "127.0.0.1") {
  const result = await probe({ rip, port }, HealthCheck.parse({ timeoutMs: 400, ...check }) as ActiveCheck);
  return result.outcome === "pass" ? "pass" : result.reason;
}
/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe("TCP", () => {
  test("passes where somebody listens, also over IPv6", async () => {
    expect(await ask({ kind: "tcp" }, await tcpServer(() => undefined))).toBe("pass");
    expect(await ask({ kind: "tcp" }, await listen(createServer(), "::1"), "::1")).toBe("pass");
  });
  test("tells a refused connection", async () => {
    expect(await ask({ kind: "tcp" }, await closedPort())).toBe("refused");
  });
});

describe("through a real server to a VIP", () => {
  test.each(["tcp", "http"])("%s asks at the VIP from the port it is given, and leaves that free for the next", async (kind) => {
    const seen: unknown[] = [];
    const own = createHttp((request, answer) => {
      seen.push(request.headers.host);
      answer.end("ready");
    });
    own.on("connection", ({ remoteAddress, remotePort }) => seen.push(`${remoteAddress}:${remotePort}`));
    const port = await listen(own, "127.0.0.2");
    const from = { address: "127.0.0.3", port: await closedPort() };
    const through = { vip: "127.0.0.2", forwarding: "dr", encapsulation: "ipip", from } as const;
    const check = HealthCheck.parse({ kind, target: "vip", timeoutMs: 400 }) as ActiveCheck;
    // Nobody listens at the RIP. A port whose last connection lingers could not be had again.
    for (let time = 0; time < 3; time++)
      expect(await probe({ rip: "127.0.0.1", port, through }, check)).toMatchObject({ outcome: "pass" });
    const once = kind === "http" ? [`127.0.0.3:${from.port}`, "127.0.0.2"] : [`127.0.0.3:${from.port}`];
    expect(seen).toEqual([...once, ...once, ...once]);
  });
});

describe("HTTP", () => {
  test("asks as it is told", async () => {
    const seen: unknown[] = [];
    const port = await httpServer((request, answer) => {
      const { method, url, headers } = request;
      seen.push([method, url, headers.host, headers["x-probe"]]);
      answer.end("ready");
    });
    const check = {
      kind: "http",
      method: "GET",
      path: "/healthz?a=1",
      host: "shop.example",
      headers: [{ name: "X-Probe", value: "1" }],
    };
    expect(await ask({ ...check, body: "ready" }, port)).toBe("pass");
    expect(seen).toEqual([["GET", "/healthz?a=1", "shop.example", "1"]]);
  });
  test("tells a wrong status and a wrong body", async () => {
    const port = await httpServer((request, answer) => {
      answer.statusCode = request.url === "/gone" ? 503 : 200;
      answer.end("starting");
    });
    expect(await ask({ kind: "http" }, port)).toBe("pass");
    expect(await ask({ kind: "http", path: "/gone" }, port)).toBe("status");
    expect(await ask({ kind: "http", path: "/gone", statuses: "200,503" }, port)).toBe("pass");
    expect(await ask({ kind: "http", body: "ready" }, port)).toBe("body");
  });
  test("finds the text where two pieces of the body meet", async () => {
    const port = await httpServer((_request, answer) => {
      answer.write("re");
      setTimeout(() => answer.end("ady"), 30);
    });
    expect(await ask({ kind: "http", body: "ready" }, port)).toBe("pass");
  });
  test("gives up on a server that accepts and says nothing", async () => {
    expect(await ask({ kind: "http" }, await tcpServer(() => undefined))).toBe("timeout");
  });
  test("gives up on a body that comes too slowly", async () => {
    const port = await httpServer((_request, answer) => {
      const drip = setInterval(() => answer.write("."), 50);
      answer.on("close", () => clearInterval(drip));
    });
    expect(await ask({ kind: "http", body: "ready" }, port)).toBe("timeout");
  });
  test("gives up on a body without end that does not hold the text", async () => {
    const port = await httpServer((_request, answer) => {
      const more = () => {
        while (!answer.destroyed && answer.write("x".repeat(16_384)));
      };
      answer.on("drain", more);
      more();
    });
    expect(await ask({ kind: "http", body: "ready", timeoutMs: 5000, intervalMs: 5000 }, port)).toBe("body");
  });
  test("tells a reset, a closed connection and what is no HTTP", async () => {
    expect(await ask({ kind: "http" }, await tcpServer((socket) => socket.once("data", () => socket.resetAndDestroy())))).toBe(
      "reset",
    );
    const closed = await ask({ kind: "http" }, await tcpServer((socket) => socket.once("data", () => socket.end())));
    expect(["closed", "reset"]).toContain(closed);
    expect(await ask({ kind: "http" }, await tcpServer((socket) => socket.end("SSH-2.0-OpenSSH_9.6\r\n")))).toBe("protocol");
  });
  test("passesStatus", () => {
    expect([199, 200, 299, 300, 301, 302, 404].map((status) => passesStatus("200-299, 301,404", status))).toEqual([
      false,
      true,
      true,
      false,
      true,
      false,
      true,
    ]);
  });
});

describe("TLS", () => {
  let folder: string;
  let good: { key: Buffer; cert: Buffer };
  let ca: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "trigon-health-"));
    const names = ["-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example"];
    const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
    const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", ["req", ...kind, ...names, ...files], { stdio: "ignore" });
    good = { key: readFileSync(join(folder, "key.pem")), cert: readFileSync(join(folder, "cert.pem")) };
    ca = good.cert.toString();
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("passes any certificate when it is not to be verified", async () => {
    expect(await ask({ kind: "tls" }, await listen(createTls(good)))).toBe("pass");
  });
  test("verifies authority and name", async () => {
    const port = await listen(createTls(good));
    const check = { kind: "tls", verify: true };
    expect(await ask({ ...check, sni: "shop.example", ca }, port)).toBe("pass");
    expect(await ask({ ...check, sni: "shop.example" }, port)).toBe("certificate");
    expect(await ask({ ...check, sni: "other.example", ca }, port)).toBe("certificate");
    expect(await ask({ ...check, ca }, port)).toBe("certificate");
  });
  test("sends the name it is told", async () => {
    const names: string[] = [];
    const SNICallback = (name: string, done: (error: Error | null) => void) => {
      names.push(name);
      done(null);
    };
    await ask({ kind: "tls", sni: "shop.example" }, await listen(createTls({ ...good, SNICallback })));
    expect(names).toEqual(["shop.example"]);
  });
  test("tells a server that speaks no TLS, or nothing", async () => {
    expect(await ask({ kind: "tls" }, await tcpServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")))).toBe("tls");
    expect(await ask({ kind: "tls" }, await tcpServer(() => undefined))).toBe("timeout");
    expect(await ask({ kind: "tls" }, await closedPort())).toBe("refused");
  });
  test("asks HTTP over it", async () => {
    const port = await listen(
      createHttps(good, (request, answer) => answer.writeHead(request.url === "/" ? 200 : 404).end("ready")),
    );
    const check = { kind: "https", verify: true, sni: "shop.example", ca, host: "shop.example" };
    expect(await ask({ ...check, body: "ready" }, port)).toBe("pass");
    expect(await ask({ ...check, path: "/x" }, port)).toBe("status");
    expect(await ask({ ...check, sni: "other.example" }, port)).toBe("certificate");
  });
});

describe("UDP", () => {
  const server = (onMessage: (text: string, reply: (text: string) => void) => void) =>
    new Promise<number>((resolve) => {
      const socket = createSocket("udp4");
      closing.push(() => socket.close());
      socket.on("message", (data, { port, address }) => onMessage(data.toString(), (text) => socket.send(text, port, address)));
      socket.bind(0, "127.0.0.1", () => resolve(socket.address().port));
    });

  test("passes on the wished reply only", async () => {
    const port = await server((text, reply) => reply(`echo ${text}`));
    expect(await ask({ kind: "udp", payload: "ping" }, port)).toBe("pass");
    expect(await ask({ kind: "udp", payload: "ping", reply: "echo ping" }, port)).toBe("pass");
    expect(await ask({ kind: "udp", payload: "ping", reply: "pong" }, port)).toBe("reply");
    expect(await ask({ kind: "udp", encoding: "hex", payload: "70696e67", reply: "6563686f" }, port)).toBe("pass");
  });
  test("silence fails, and so does a closed port", async () => {
    expect(await ask({ kind: "udp", payload: "x" }, await server(() => undefined))).toBe("noReply");
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    const { port } = socket.address();
    await new Promise<void>((resolve) => socket.close(resolve));
    expect(await ask({ kind: "udp", payload: "x" }, port)).toBe("refused");
  });
});

test("ICMP: the loopback answers", async () => {
  expect(await ask({ kind: "icmp", timeoutMs: 1500 }, 0)).toBe("pass");
});

describe("a director that is stalled itself", () => {
  const stall = (ms: number) => {
    const until = performance.now() + ms;
    while (performance.now() < until);
  };
  test("gives a real server its time once more", async () => {
    const port = await httpServer((_request, reply) => setTimeout(() => reply.end("ready"), 20));
    const answer = ask({ kind: "http", timeoutMs: 80 }, port);
    stall(400);
    expect(await answer).toBe("pass");
  });
  test("still tells one that says nothing", async () => {
    const port = await tcpServer(() => undefined);
    const answer = ask({ kind: "http", timeoutMs: 50 }, port);
    stall(400);
    expect(await answer).toBe("timeout");
  });
  test("says nothing when it is stalled again and again", async () => {
    const port = await tcpServer(() => undefined);
    const answer = ask({ kind: "http", timeoutMs: 50 }, port);
    const stalls = setInterval(() => stall(400), 1);
    stall(400);
    expect(await answer).toBe("unable");
    clearInterval(stalls);
  });
});
