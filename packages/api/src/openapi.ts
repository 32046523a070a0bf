import { ChangePreview, errorCodes, guardFields, guardSecondsDefault } from "@trigon/model";
import { z } from "zod";
import { restBase } from "./rest.ts";
import { type RestRoute, restRoutes } from "./rest-routes.ts";
import { FieldErrorShape } from "./shapes.ts";

const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.enum(Object.keys(errorCodes) as [string, ...string[]]),
  requestId: z.string(),
  instance: z.string().optional(),
  retry: z.boolean(),
  errors: z.array(FieldErrorShape).optional(),
});

function schemaOf(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    target: "draft-2020-12",
    io,
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === "transform") jsonSchema.type = "string"; // our only transforms are addresses
    },
  }) as Record<string, unknown>;
  return json;
}

/** The OpenAPI 3.1 document of `/api/v1`, made from the procedures that serve it. */
export function openApiDocument({ version, url }: { version: string; url: string }): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of restRoutes) {
    const operations = paths[route.rest.path] ?? {};
    operations[route.rest.method.toLowerCase()] = operationOf(route);
    paths[route.rest.path] = operations;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Trigon",
      version,
      description: "A layer-4 load balancer on Linux IPVS.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: `${url}${restBase}` }],
    security: [{ bearer: [] }],
    tags: [...new Set(restRoutes.map(({ rest }) => rest.tag))].map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer", description: "An API token, `trg_pat_…`." } },
      schemas: { Problem: schemaOf(Problem, "output"), ChangePreview: schemaOf(ChangePreview, "output") },
      responses: {
        Problem: {
          description: "What went wrong (RFC 9457), with a stable code and the wrong fields.",
          content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
        },
      },
    },
  };
}

const guardTexts: Record<string, string> = {
  guard:
    "Take the change back by itself unless, `reachability`, every connected node that it concerns comes back with it, or, `operator`, somebody keeps it by `POST /changes/{id}/keep`.",
  guardSeconds: `How long the guard waits; left out ${guardSecondsDefault.reachability} with reachability, ${guardSecondsDefault.operator} with operator.`,
};

function operationOf(route: RestRoute): Record<string, unknown> {
  const { rest, inputs, output } = route;
  const names = new Set(route.segments.flatMap((segment) => /^\{(\w+)\}$/.exec(segment)?.[1] ?? []));
  const inQuery = rest.method === "GET" ? Object.keys(inputs).filter((name) => !names.has(name)) : [];
  const parameters: unknown[] = [
    ...[...names].map((name) => ({ name, in: "path", required: true, schema: schemaOf(inputs[name] ?? z.string(), "input") })),
    ...inQuery.map((name) => ({
      name,
      in: "query",
      required: !inputs[name]!.safeParse(undefined).success,
      schema: schemaOf(inputs[name]!, "input"),
    })),
  ];
  if (rest.conditional) {
    const description = 'The revision the change is based on, as in ETag: `"7"`. Without it 428, with an old one 412.';
    parameters.push({ name: "If-Match", in: "header", required: true, description, schema: { type: "string" } });
  }
  if (rest.preview) {
    const description = "Write nothing: answer 200 with what each node would do.";
    parameters.push({ name: "dryRun", in: "query", required: false, description, schema: { type: "boolean", default: false } });
  }
  for (const name of rest.method === "GET" ? [] : Object.keys(guardFields).filter((field) => field in inputs)) {
    parameters.push({
      name,
      in: "query",
      required: false,
      description: guardTexts[name],
      schema: schemaOf(inputs[name]!, "input"),
    });
  }
  if (rest.method === "POST") {
    const description = "Makes the request repeatable for a day.";
    parameters.push({ name: "Idempotency-Key", in: "header", required: false, description, schema: { type: "string" } });
  }
  const body = rest.body === undefined ? undefined : inputs[rest.body];
  const status = output === undefined ? "204" : rest.creates ? "201" : "200";
  const headers = {
    ...(rest.conditional || rest.creates ? { ETag: { schema: { type: "string" } } } : {}),
    ...(rest.creates ? { Location: { schema: { type: "string" } } } : {}),
  };
  const preview = { $ref: "#/components/schemas/ChangePreview" };
  const answer = output && schemaOf(output, "output");
  const answers = answer && rest.preview && status === "200" ? { anyOf: [answer, preview] } : answer;
  return {
    operationId: route.procedure,
    summary: rest.summary,
    tags: [rest.tag],
    description: `Needs the scope \`${route.scope}\`.`,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: !(body instanceof z.ZodOptional),
            content: { "application/json": { schema: schemaOf(body, "input") } },
          },
        }
      : {}),
    responses: {
      [status]: {
        description: status === "204" ? "Done" : "OK",
        ...(Object.keys(headers).length > 0 ? { headers } : {}),
        ...(answers ? { content: { "application/json": { schema: answers } } } : {}),
      },
      ...(rest.preview && status !== "200"
        ? { "200": { description: "With dryRun=true", content: { "application/json": { schema: preview } } } }
        : {}),
      default: { $ref: "#/components/responses/Problem" },
    },
  };
}
