import type { TLSSocket } from "node:tls";
import type { HttpBindings } from "@hono/node-server";
import {
  AgentAnswer,
  AgentCounters,
  AgentHint,
  AgentReport,
  agentPaths,
  agentProtocol,
  DomainError,
  type PlanEnvelope,
  type RenewAnswer,
  RenewRequest,
  type ReportAnswer,
  reportLimits,
} from "@trigon/model";
import { Hono } from "hono";
import type { z } from "zod";
import { newRequestId } from "../front/request-id.ts";
import type { Log } from "../log.ts";
import { problemResponse } from "../problem-response.ts";
import { readJson } from "../read-json.ts";
import type { Peer } from "./peer-identity.ts";
import type { PlanHub } from "./plan-hub.ts";
import { planStream } from "./plan-stream.ts";

const smallBody = 16 * 1024;

/** What the agent protocol needs of the API. All of it throws DomainErrors. */
export interface AgentPort {
  /** Throws `node.revoked`, `node.quarantined` or `certificate.superseded` when this certificate may not talk now. */
  admit(peer: Peer): Promise<void>;
  /** The same without throwing, from memory. */
  mayStay(peer: Peer): boolean;
  planFor(nodeId: string, since: { generation: number; epoch: number; takenBack?: number | null } | null): Promise<PlanEnvelope>;
  report(nodeId: string, report: AgentReport): Promise<ReportAnswer>;
  counters(nodeId: string, counters: AgentCounters): Promise<void>;
  hint(nodeId: string, hint: AgentHint): Promise<void>;
  answered(nodeId: string, answer: AgentAnswer): Promise<void>;
  renew(peer: Peer, csr: string): Promise<z.infer<typeof RenewAnswer>>;
  /** The node's stream stands, as of now; or its last one to this replica ended. */
  connected(nodeId: string, isConnected: boolean): void;
  /** The generation that the node should have. */
  wanted(nodeId: string): number;
}

interface AgentEnv {
  Bindings: HttpBindings;
  Variables: { peer: Peer; requestId: string; log: Log };
}

/** `/agent/v1/*`, the versioned protocol that nodes speak over mTLS. Who they are comes from the connection alone. */
export function createAgentApp(options: {
  port: AgentPort;
  hub: PlanHub;
  peerOf: (socket: TLSSocket) => Peer | undefined;
  log: Log;
}): Hono<AgentEnv> {
  const { port, hub, peerOf } = options;
  const app = new Hono<AgentEnv>();

  app.use(async (c, next) => {
    const requestId = newRequestId();
    const peer = peerOf(c.env.incoming.socket as TLSSocket);
    const log = options.log.child({ requestId, nodeId: peer?.nodeId });
    c.set("requestId", requestId);
    c.set("log", log);
    if (!peer) throw new DomainError("auth.required", "This listener is for enrolled nodes only.");
    c.set("peer", peer);
    if (peer.isExpired && c.req.path !== agentPaths.renew) {
      throw new DomainError("auth.forbidden", "The certificate has expired: it may be renewed and nothing else.");
    }
    await port.admit(peer);
    await next();
    c.header("x-request-id", requestId);
    c.header("cache-control", "no-store");
    log.debug({ method: c.req.method, path: c.req.path, status: c.res.status }, "agent request");
  });
  app.onError((error, c) => problemResponse(error, c.get("requestId"), c.req.path, c.get("log")));
  app.notFound((c) =>
    problemResponse(new DomainError("resource.notFound", "There is nothing here."), c.get("requestId"), c.req.path, c.get("log")),
  );

  app.get(agentPaths.stream, (c) => {
    const peer = c.get("peer");
    const { nodeId } = peer;
    hub.announce(nodeId, port.wanted(nodeId));
    const body = planStream({
      hub,
      nodeId,
      since: Number(c.req.header("last-event-id") ?? -1),
      mayStay: () => port.mayStay(peer),
      signal: c.req.raw.signal,
      onAlive: () => port.connected(nodeId, true),
      onClose: () => {
        if (!hub.isConnected(nodeId)) port.connected(nodeId, false);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
  });

  app.get(agentPaths.plan, async (c) => {
    const generation = wholeNumber(c.req.query("since"), "since");
    const epoch = wholeNumber(c.req.query("epoch"), "epoch");
    const takenBack = wholeNumber(c.req.query("takenBack"), "takenBack");
    const since = generation === null ? null : { generation, epoch: epoch ?? 1, takenBack };
    return c.json(await port.planFor(c.get("peer").nodeId, since));
  });

  app.post(agentPaths.report, async (c) => {
    const report = await readJson(c.req.raw, AgentReport, reportLimits.bytes);
    speaksOurs(report.protocol);
    return c.json(await port.report(c.get("peer").nodeId, report));
  });

  app.post(agentPaths.counters, async (c) => {
    const counters = await readJson(c.req.raw, AgentCounters, reportLimits.bytes);
    speaksOurs(counters.protocol);
    await port.counters(c.get("peer").nodeId, counters);
    return c.json({});
  });

  app.post(agentPaths.hint, async (c) => {
    const hint = await readJson(c.req.raw, AgentHint, smallBody * 4);
    speaksOurs(hint.protocol);
    await port.hint(c.get("peer").nodeId, hint);
    return c.json({});
  });

  app.post(agentPaths.answer, async (c) => {
    const answer = await readJson(c.req.raw, AgentAnswer, reportLimits.bytes);
    speaksOurs(answer.protocol);
    await port.answered(c.get("peer").nodeId, answer);
    return c.json({});
  });

  app.post(agentPaths.renew, async (c) => {
    const { csr } = await readJson(c.req.raw, RenewRequest, smallBody);
    return c.json(await port.renew(c.get("peer"), csr));
  });
  return app;
}

/** The controller speaks its own protocol version and the one before. */
function speaksOurs(protocol: number): void {
  if (protocol === agentProtocol || protocol === agentProtocol - 1) return;
  throw new DomainError("protocol.unsupported", `This controller speaks agent protocol ${agentProtocol}.`);
}

function wholeNumber(text: string | undefined, name: string): number | null {
  if (text === undefined) return null;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new DomainError("body.invalid", `${name} must be a whole number.`, [
    { pointer: `/${name}`, code: "field.type", detail: "must be a whole number" },
  ]);
}
