import { fileURLToPath } from "node:url";
import { readConfig } from "./config.ts";
import { startController } from "./controller.ts";
import { createLog } from "./log.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const log = createLog(process.env.TRIGON_LOG_LEVEL ?? "info");
const stopping = new AbortController();

process.on("unhandledRejection", (error) => log.error({ err: error }, "unhandled rejection"));
process.on("uncaughtException", (error) => {
  log.fatal({ err: error }, "uncaught exception");
  process.exit(1);
});

try {
  const config = readConfig(process.env, root);
  const starting = startController({ config, root, log, signal: stopping.signal });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      log.info({ signal }, "stopping");
      stopping.abort();
      starting
        .then((controller) => controller.close())
        .then(
          () => process.exit(0),
          () => process.exit(0),
        );
    });
  }
  const controller = await starting;
  process.send?.({ ready: { port: controller.ports.front[0], caFile: controller.caFile, agentUrl: config.agentUrl } });
} catch (error) {
  if (!stopping.signal.aborted) {
    log.fatal({ err: error }, "the controller could not start");
    process.exit(1);
  }
}
