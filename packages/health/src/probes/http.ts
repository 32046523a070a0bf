import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import type { ActiveCheck } from "@trigon/model";
import { fail, type ProbeResult, type Target } from "../probe.ts";
import { attempt, resultOf } from "./attempt.ts";
import { letGo, openTcp, openTls, type StreamHandlers } from "./stream.ts";

type HttpCheck = Extract<ActiveCheck, { kind: "http" | "https" }>;

const mostBody = 64 * 1024;

/** Whether `200-299,301` holds a status. */
export function passesStatus(statuses: string, status: number): boolean {
  return statuses.split(",").some((part) => {
    const [first, last = first] = part.trim().split("-").map(Number);
    return status >= first! && status <= last!;
  });
}

/** Passes when the status is one of those wished and, where wished, the body contains the text. */
export const probeHttp = (target: Target, check: HttpCheck): Promise<ProbeResult> =>
  attempt(check.timeoutMs, (settle, passed) => {
    const handlers: StreamHandlers = {
      onReady: (socket) => ask(socket, target, check, settle, passed),
      onFail: settle,
    };
    const socket = check.kind === "https" ? openTls(target, check, handlers) : openTcp(target, handlers);
    return () => letGo(socket, target);
  });

function ask(
  socket: Socket,
  { rip, through }: Target,
  check: HttpCheck,
  settle: (result: ProbeResult) => void,
  passed: () => void,
): void {
  const outgoing = request({
    createConnection: () => socket,
    method: check.method,
    path: check.path,
    setHost: false,
    headers: {
      Host: check.host ?? through?.vip ?? (rip.includes(":") ? `[${rip}]` : rip),
      "User-Agent": "trigon-health",
      Accept: "*/*",
      Connection: "close",
      ...Object.fromEntries(check.headers.map(({ name, value }) => [name, value])),
    },
  });
  outgoing.on("error", (error: NodeJS.ErrnoException) =>
    settle(error.code?.startsWith("HPE_") ? fail("protocol", `This is no HTTP: ${error.message}`) : resultOf(error)),
  );
  outgoing.on("response", (answer) => {
    const status = answer.statusCode ?? 0;
    if (!passesStatus(check.statuses, status)) return settle(fail("status", `The status is ${status}, not ${check.statuses}`));
    if (check.body === null) return passed();
    readFor(answer, check.body, settle, passed);
  });
  outgoing.end();
}

function readFor(answer: IncomingMessage, wanted: string, settle: (result: ProbeResult) => void, passed: () => void): void {
  let body = Buffer.alloc(0);
  const missing = () => settle(fail("body", "The body does not contain the wished text"));
  answer.on("data", (chunk: Buffer) => {
    body = Buffer.concat([body, chunk]);
    if (body.includes(wanted)) passed();
    else if (body.length >= mostBody) missing();
  });
  answer.on("end", missing);
  answer.on("error", (error: NodeJS.ErrnoException) => settle(resultOf(error)));
}
