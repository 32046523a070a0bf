import { X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { publicKeyPin } from "@trigon/api/certificates";
import { createApi } from "@trigon/api/create-api";
import { newId } from "@trigon/api/new-id";
import { openApiDocument } from "@trigon/api/openapi";
import { createRest } from "@trigon/api/rest";
import { loadSecretKey } from "@trigon/api/secrets";
import { openDatabase } from "@trigon/db";
import { hashPassword } from "better-auth/crypto";
import { createAgentServer } from "./agent/agent-listener.ts";
import { PlanHub } from "./agent/plan-hub.ts";
import { createAuth } from "./auth/auth.ts";
import { ensureFirstAdmin } from "./auth/first-admin.ts";
import { certificateNames } from "./certificate-names.ts";
import type { ControllerConfig } from "./config.ts";
import { controllerAddresses } from "./controller-addresses.ts";
import { createDatabaseProbe, migrateWhenUp } from "./database-health.ts";
import { createEnrollFiles } from "./enroll/enroll-files.ts";
import { enrollRoutes } from "./enroll/enroll-routes.ts";
import { runtimeArchitectures } from "./enroll/node-runtime.ts";
import { createIdentify } from "./front/caller.ts";
import { createFrontApp } from "./front/front-app.ts";
import { createFrontServer } from "./front/front-listener.ts";
import { createWebProxy } from "./front/web-proxy.ts";
import { listenOn } from "./listen.ts";
import type { Log } from "./log.ts";
import { metricsText } from "./metrics.ts";

/** Leaves are made anew this often, under the same key: a running controller never serves an expired one. */
const reissueMs = 24 * 3600_000;

export interface Controller {
  ports: { front: number[]; agent: number[] };
  /** PEM of the CA, for clients on this machine. */
  caFile: string;
  close(): Promise<void>;
}

/**
 * One replica. Waits for a database that is away; throws when it must not be used or a listener cannot be opened. `root` is the checkout.
 */
export async function startController(options: {
  config: ControllerConfig;
  root: string;
  log: Log;
  signal: AbortSignal;
}): Promise<Controller> {
  const { config, root, log, signal } = options;
  const { dataDir, publicUrl, agentUrl } = config;
  const closers: (() => unknown)[] = [];
  const close = async () => {
    for (const one of closers.splice(0).reverse()) await one();
  };
  try {
    await mkdir(dataDir, { recursive: true });
    const secretKey = await loadSecretKey(config.secretKeyFile);
    await migrateWhenUp(config.databaseUrl, log, signal);
    const database = await openDatabase(config.databaseUrl, newId("fleet"));
    closers.push(() => database.close());

    const hub = new PlanHub();
    let pin = "";
    const api = await createApi({
      db: database,
      secretKey,
      publicUrl,
      agentUrl,
      pin: () => pin,
      hashPassword,
      nodeCertificateSeconds: config.nodeCertificateSeconds,
      controllerAddresses: controllerAddresses([
        ...[publicUrl, agentUrl].map((url) => new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")),
        ...config.certificateNames,
      ]),
      onNodeChanged: (nodeId, generation) => hub.announce(nodeId, generation),
      onNodeEdited: (nodeId) => hub.wake(nodeId),
      onProbe: (nodeId, serviceId) => hub.probe(nodeId, serviceId),
      onWatch: (seconds) => hub.watch(seconds),
      onAsk: (nodeId, id, question) => hub.ask(nodeId, id, question),
      log: (line) => log.warn(line),
    });
    closers.push(() => api.close());

    const frontTls = async () => {
      if (config.certificate) {
        const [cert, key] = await Promise.all([
          readFile(config.certificate.certFile, "utf8"),
          readFile(config.certificate.keyFile, "utf8"),
        ]);
        return { cert, key };
      }
      const made = await api.certificates.server("front", certificateNames(publicUrl, config.certificateNames, config.listen));
      return { cert: made.certificate, key: made.key };
    };
    const agentTls = async () => {
      const made = await api.certificates.server(
        "agent",
        certificateNames(agentUrl, config.certificateNames, config.agentListen),
      );
      return { cert: made.certificate, key: made.key };
    };
    const front = await frontTls();
    pin = publicKeyPin(front.cert);
    // Whoever enrolls must be able to check both listeners: ours first, and the chain that the operator brought.
    const ca = config.certificate ? api.certificates.ca + front.cert : api.certificates.ca;
    const caFile = join(dataDir, "ca.pem");
    await writeFile(caFile, ca);

    const auth = createAuth({ prisma: database.prisma, secretKey, publicUrl, log });
    await ensureFirstAdmin({ auth, admin: config.admin, dataDir, log });

    const web = createWebProxy(config.webUrl, (error) => log.debug({ err: error }, "web app"));
    closers.push(() => web.close());
    const version = await versionOf(root);
    const files = createEnrollFiles({
      root,
      cacheDir: config.cacheDir,
      agentBundle: config.agentBundle,
      version,
      publicUrl,
      agentUrl,
      ca,
    });
    // Packing the runtime takes seconds: not while the first machine waits for its script.
    for (const architecture of runtimeArchitectures) {
      files.runtime(architecture).catch((error: unknown) => log.error({ err: error, architecture }, "Node runtime not packed"));
    }
    const app = createFrontApp({
      log,
      auth,
      identify: createIdentify(auth, api.authenticate),
      services: api.services,
      rest: createRest({
        db: database,
        secretKey,
        onBug: (error, requestId) => log.error({ requestId, err: error.cause }, "unforeseen error"),
      }),
      openApi: openApiDocument({ version, url: publicUrl }),
      enroll: enrollRoutes(api.enrollment, files),
      isDatabaseUp: createDatabaseProbe(() => database.prisma.$queryRaw`SELECT 1`),
      metrics: () => metricsText(api.figures(), hub.connected),
    });
    const frontServer = createFrontServer(front, app, web);
    const agentServer = createAgentServer({
      tls: await agentTls(),
      ca: api.certificates.ca,
      port: { ...api.agents, wanted: api.wanted },
      hub,
      log,
    });
    const frontDoor = await listenOn(frontServer, config.listen);
    closers.push(() => frontDoor.close());
    const agentDoor = await listenOn(agentServer, config.agentListen);
    closers.push(() => agentDoor.close());

    const reissue = setInterval(() => {
      const renewed = Promise.all([frontTls(), agentTls()]).then(([forFront, forAgents]) => {
        frontServer.setSecureContext({ ...forFront, minVersion: "TLSv1.2" });
        agentServer.setSecureContext({ ...forAgents, ca: api.certificates.ca, minVersion: "TLSv1.3" });
      });
      renewed.catch((error: unknown) => log.error({ err: error }, "listener certificates not renewed; the old ones stay"));
    }, reissueMs);
    closers.push(() => clearInterval(reissue));

    log.info(
      {
        publicUrl,
        agentUrl,
        ports: { front: frontDoor.ports, agent: agentDoor.ports },
        ca: new X509Certificate(ca).fingerprint256,
      },
      "listening",
    );
    return { ports: { front: frontDoor.ports, agent: agentDoor.ports }, caFile, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function versionOf(root: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
  return version;
}
