import { z } from "zod";
import { appRouter } from "./router.ts";
import type { ProcedureMeta, RestMeta } from "./trpc.ts";

/** A procedure as REST serves it. */
export interface RestRoute {
  /** The procedure's path in the router, such as `virtualService.get`. */
  procedure: string;
  type: "query" | "mutation" | "subscription";
  scope: ProcedureMeta["scope"];
  rest: RestMeta;
  /** `virtual-services`, `{id}`, … */
  segments: string[];
  /** The fields of its input object. */
  inputs: Record<string, z.ZodType>;
  input: z.ZodType | undefined;
  output: z.ZodType | undefined;
}

interface Definition {
  type: RestRoute["type"];
  meta?: ProcedureMeta;
  inputs: z.ZodType[];
  output?: z.ZodType;
}

/** What is inside optional, nullable and default wrappers. */
export function unwrap(schema: z.ZodType): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodNullable) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  return schema;
}

/** Every REST route, from the procedures' own meta. */
export const restRoutes: readonly RestRoute[] = Object.entries(
  appRouter._def.procedures as unknown as Record<string, { _def: Definition }>,
).flatMap(([procedure, { _def }]) => {
  const { meta, type } = _def;
  if (!meta?.rest) return [];
  const input = _def.inputs[0];
  const object = input && unwrap(input);
  return [
    {
      procedure,
      type,
      scope: meta.scope,
      rest: meta.rest,
      segments: meta.rest.path.split("/").slice(1),
      inputs: object instanceof z.ZodObject ? (object.shape as Record<string, z.ZodType>) : {},
      input,
      output: _def.output,
    },
  ];
});

/** The route of a method and path below the base, with its path parameters. */
export function findRoute(method: string, path: string): { route: RestRoute; params: Record<string, string> } | undefined {
  const given = path.split("/").slice(1);
  for (const route of restRoutes) {
    if (route.rest.method !== method || route.segments.length !== given.length) continue;
    const params: Record<string, string> = {};
    const isMatch = route.segments.every((segment, at) => {
      const name = /^\{(\w+)\}$/.exec(segment)?.[1];
      if (name === undefined) return segment === given[at];
      params[name] = safeDecode(given[at]!);
      return given[at] !== "";
    });
    if (isMatch) return { route, params };
  }
  return undefined;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
