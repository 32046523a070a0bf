import { resolve } from "node:path";
import { nodeCertificateSeconds } from "@trigon/api/certificates";

/** Where a listener listens: a TCP address, or a unix socket by its path. */
export type ListenAddress = { host: string; port: number } | { path: string };

export interface ControllerConfig {
  /** Folder of the secret key and the first administrator's password. */
  dataDir: string;
  /** What can be made again, such as packed Node runtimes. */
  cacheDir: string;
  /** The key of the secrets in the database; all replicas share it. */
  secretKeyFile: string;
  /** Any Postgres of version 14 or newer. */
  databaseUrl: string;
  listen: ListenAddress[];
  agentListen: ListenAddress[];
  /** The console's URL as nodes and people reach it. */
  publicUrl: string;
  /** The agent listener's URL as nodes reach it. */
  agentUrl: string;
  /** The web app behind the front door. */
  webUrl: string;
  /** Names and addresses of the front certificate besides those of the two URLs. */
  certificateNames: string[];
  /** A certificate (with its chain) and key brought by the operator, as file paths; null: one of the appliance's own CA. */
  certificate: { certFile: string; keyFile: string } | null;
  /** How long a node's certificate lasts, in seconds. */
  nodeCertificateSeconds: number;
  admin: { username: string; password: string | null };
  /** The agent bundle that enrollment serves, made by `npm run build -w @trigon/agent`. */
  agentBundle: string;
  logLevel: string;
}

/** `host:port`, `[v6]:port`, `:port` or `unix:/path`. Throws on anything else. */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith("unix:")) return { path: text.slice(5) };
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  if (!match || Number(match[3]) > 65535) throw new Error(`not a listen address: ${text}`);
  return { host: match[1] ?? (match[2] || "0.0.0.0"), port: Number(match[3]) };
}

const listenList = (text: string) =>
  text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(parseListen);

function portOf(addresses: readonly ListenAddress[], fallback: number): number {
  for (const address of addresses) if ("port" in address) return address.port;
  return fallback;
}

/** Reads the environment; `root` is the checkout. Throws an Error that names the variable when one is wrong. */
export function readConfig(env: NodeJS.ProcessEnv, root: string): ControllerConfig {
  const databaseUrl = env.DATABASE_URL;
  if (!databaseUrl) throw new Error("DATABASE_URL is not set: start with `npm start`, which brings an embedded Postgres");
  const listen = listenList(env.TRIGON_LISTEN ?? "0.0.0.0:8443");
  const agentListen = listenList(env.TRIGON_AGENT_LISTEN ?? "0.0.0.0:9443");
  const publicUrl = httpsUrl("TRIGON_PUBLIC_URL", env.TRIGON_PUBLIC_URL ?? `https://localhost:${portOf(listen, 8443)}`);
  const agentDefault = new URL(publicUrl);
  agentDefault.port = String(portOf(agentListen, 9443));
  if (Boolean(env.TRIGON_TLS_CERT) !== Boolean(env.TRIGON_TLS_KEY)) {
    throw new Error("TRIGON_TLS_CERT and TRIGON_TLS_KEY come together");
  }
  const dataDir = resolve(root, env.TRIGON_DATA ?? ".trigon");
  return {
    dataDir,
    cacheDir: env.TRIGON_CACHE ? resolve(root, env.TRIGON_CACHE) : resolve(dataDir, "cache"),
    secretKeyFile: env.TRIGON_SECRET_KEY_FILE ? resolve(root, env.TRIGON_SECRET_KEY_FILE) : resolve(dataDir, "secret.key"),
    databaseUrl,
    listen,
    agentListen,
    publicUrl,
    agentUrl: httpsUrl("TRIGON_AGENT_URL", env.TRIGON_AGENT_URL ?? agentDefault.origin),
    webUrl: env.TRIGON_WEB_URL ?? "http://127.0.0.1:3000",
    certificateNames: (env.TRIGON_CERT_NAMES ?? "").split(",").filter((name) => name !== ""),
    certificate:
      env.TRIGON_TLS_CERT && env.TRIGON_TLS_KEY ? { certFile: env.TRIGON_TLS_CERT, keyFile: env.TRIGON_TLS_KEY } : null,
    nodeCertificateSeconds: lifetimeOf(env.TRIGON_NODE_CERT_SECONDS),
    admin: { username: env.TRIGON_ADMIN_USER ?? "admin", password: env.TRIGON_ADMIN_PASSWORD || null },
    agentBundle: resolve(root, env.TRIGON_AGENT_BUNDLE ?? "apps/agent/dist/trigon-agent.tgz"),
    logLevel: env.TRIGON_LOG_LEVEL ?? "info",
  };
}

/** At least 30 s, so that a renewal fits in; at most ten years, as the CA itself. */
function lifetimeOf(text: string | undefined): number {
  if (!text) return nodeCertificateSeconds;
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 30 && seconds <= 3650 * 86_400) return seconds;
  throw new Error(`TRIGON_NODE_CERT_SECONDS must be a whole number from 30 to ${3650 * 86_400}: ${text}`);
}

function httpsUrl(variable: string, text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`${variable} is not a URL: ${text}`);
  }
  if (url.protocol !== "https:") throw new Error(`${variable} must begin with https://: ${text}`);
  return url.origin;
}
