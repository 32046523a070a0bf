import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { agentProtocol, DomainError, type EnrollAnswer, EnrollRequest, NodeRole } from "@trigon/model";
import { Hono } from "hono";
import { z } from "zod";
import type { FrontEnv } from "../front/env.ts";
import { readJson } from "../read-json.ts";
import { type NodeRuntime, type RuntimeArchitecture, runtimeArchitectures } from "./node-runtime.ts";

const smallBody = 16 * 1024;
const enrollBody = 1024 * 1024;

/** `POST /enroll/v1/progress`: the install script's own steps, told with the token before it is spent. */
export const EnrollProgress = z.strictObject({
  token: z.string().min(8).max(512),
  stage: z.enum(["preflight", "preflightFailed"]),
  message: z.string().max(2000).default(""),
});
export type EnrollProgress = z.infer<typeof EnrollProgress>;
export const EnrollProgressAnswer = z.object({ role: NodeRole, name: z.string().nullable() });

/** What enrollment needs of the API. `address` is where the caller is, as far as this listener can see. */
export interface EnrollmentPort {
  scriptFetched(tokenId: string, address: string | null): Promise<void>;
  progress(progress: EnrollProgress, address: string | null): Promise<z.infer<typeof EnrollProgressAnswer>>;
  enroll(request: EnrollRequest, address: string | null): Promise<EnrollAnswer>;
}

export interface EnrollFiles {
  script(): Promise<string>;
  bundle(): Promise<string>;
  runtime(architecture: RuntimeArchitecture): Promise<NodeRuntime | null>;
}

/** `/enroll/*`: all that a machine without a certificate may ask for. Nothing here is secret but what comes in with a token. */
export function enrollRoutes(port: EnrollmentPort, files: EnrollFiles): Hono<FrontEnv> {
  const app = new Hono<FrontEnv>();

  app.get("/install.sh", async (c) => {
    const script = await files.script();
    const tokenId = c.req.query("t");
    if (tokenId !== undefined && /^[a-z]+_[0-9a-z]{1,60}$/.test(tokenId) && c.req.method === "GET") {
      // The script is handed out even when this cannot be written down.
      await port
        .scriptFetched(tokenId, c.get("address"))
        .catch((error: unknown) => c.get("log").warn({ err: error }, "script fetch not recorded"));
    }
    return c.text(script, 200, { "content-type": "text/x-shellscript; charset=utf-8", "cache-control": "no-store" });
  });

  app.get("/agent.tgz", async () => sendFile(await files.bundle(), "application/gzip"));

  app.get("/:file{node-[a-z0-9]+\\.tar\\.gz}", async (c) => {
    const name = /^node-([a-z0-9]+)\.tar\.gz$/.exec(c.req.param("file"))?.[1];
    const architecture = runtimeArchitectures.find((one) => one === name);
    const runtime = architecture ? await files.runtime(architecture) : null;
    if (!runtime) throw new DomainError("resource.notFound", `There is no Node runtime for ${name} here.`);
    return sendFile(runtime.file, "application/gzip");
  });

  app.post("/v1/progress", async (c) => {
    const progress = await readJson(c.req.raw, EnrollProgress, smallBody);
    return c.json(await port.progress(progress, c.get("address")));
  });

  app.post("/v1/nodes", async (c) => {
    const request = await readJson(c.req.raw, EnrollRequest, enrollBody);
    if (request.protocol !== agentProtocol && request.protocol !== agentProtocol - 1) {
      throw new DomainError("protocol.unsupported", `This controller speaks agent protocol ${agentProtocol}.`);
    }
    return c.json(await port.enroll(request, c.get("address")));
  });

  return app;
}

async function sendFile(file: string, type: string): Promise<Response> {
  let size: number;
  try {
    size = (await stat(file)).size;
  } catch (cause) {
    throw new DomainError("resource.notFound", "The file was not built on this controller.", [], { cause });
  }
  const body = Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>;
  return new Response(body, { headers: { "content-type": type, "content-length": String(size) } });
}
