import { connect, Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { ActiveCheck } from "@trigon/model";
import { fail, type Probe, type ProbeResult, type Target } from "../probe.ts";
import { attempt, resultOf } from "./attempt.ts";

type TlsCheck = Extract<ActiveCheck, { kind: "tls" | "https" }>;
export interface StreamHandlers {
  onReady(socket: Socket): void;
  onFail(result: ProbeResult): void;
}

/** What Node's `connect` must be told. */
function placeOf({ rip, port, through }: Target) {
  const { vip, from } = through ?? {};
  return { host: vip ?? rip, port, ...(from && { localAddress: from.address, localPort: from.port }) };
}

/** Lets a connection go. One from a port that is needed again soon is reset, so that neither end keeps it. */
export function letGo(socket: Socket, { through }: Target): void {
  if (through && !socket.connecting && !socket.destroyed) socket.resetAndDestroy();
  else socket.destroy();
}

/** Opens a TCP connection. Its errors are reported until it is destroyed, also after it was ready. */
export function openTcp(target: Target, { onReady, onFail }: StreamHandlers): Socket {
  const socket = connect({ ...placeOf(target), noDelay: true });
  socket.once("connect", () => onReady(socket));
  socket.on("error", (error) => onFail(resultOf(error)));
  socket.on("close", () => onFail(fail("closed", "The connection was closed before an answer")));
  return socket;
}

/** Opens a TLS connection; it is ready once the handshake is done and, where wished, the certificate found good. */
export function openTls({ rip, port }: Target, check: TlsCheck, { onReady, onFail }: StreamHandlers): Socket {
  const socket: TLSSocket = connectTls({
    host: rip,
    port,
    rejectUnauthorized: false, // judged below, so that a bad certificate is told from a failed handshake
    ...(check.sni === null ? {} : { servername: check.sni }),
    ...(check.ca === null ? {} : { ca: check.ca }),
  });
  let isConnected = false;
  socket.once("connect", () => {
    isConnected = true;
  });
  socket.once("secureConnect", () => {
    if (!check.verify || socket.authorized) return onReady(socket);
    onFail(fail("certificate", `The certificate is not valid: ${certificateFault(socket, check.sni ?? rip)}`));
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    const plain = resultOf(error);
    const isHandshake = isConnected && plain.outcome === "fail" && plain.reason === "protocol";
    onFail(isHandshake ? fail("tls", `The TLS handshake failed: ${error.message}`) : plain);
  });
  socket.on("close", () => onFail(fail("closed", "The connection was closed before an answer")));
  return socket;
}

/** What OpenSSL and Node call it, in words; the code stays beside them, to be looked up. */
const certificateFaults: Record<string, string> = {
  CERT_HAS_EXPIRED: "it has expired",
  CERT_NOT_YET_VALID: "it is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed and not trusted itself",
  SELF_SIGNED_CERT_IN_CHAIN: "its authority is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "its authority is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its authority is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its authority is not trusted",
};

function certificateFault(socket: TLSSocket, name: string): string {
  const error = socket.authorizationError as Error | string | null;
  const code = error instanceof Error ? error.message : String(error);
  const words = code === "ERR_TLS_CERT_ALTNAME_INVALID" ? `it is not for ${name}` : certificateFaults[code];
  return words === undefined ? code : `${words} (${code})`;
}

/** Passes when the connection comes about. */
export const probeTcp: Probe = (target, { timeoutMs }) =>
  attempt(timeoutMs, (settle, passed) => {
    const socket = new Socket();
    socket.pause(); // nothing is read: that saves the kernel being told so
    socket.once("connect", passed);
    socket.once("error", (error) => settle(resultOf(error)));
    socket.connect(placeOf(target));
    return () => letGo(socket, target);
  });

/** Passes when the TLS handshake ends well. */
export const probeTls = (target: Target, check: TlsCheck): Promise<ProbeResult> =>
  attempt(check.timeoutMs, (settle, passed) => {
    const socket = openTls(target, check, { onReady: passed, onFail: settle });
    return () => socket.destroy();
  });
