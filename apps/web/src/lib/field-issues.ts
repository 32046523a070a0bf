import type { FieldError } from "@trigon/model";
import type { z } from "zod";

/** Zod's issues in the API's own shape and codes, so that one set of sentences serves the form's checks and the server's. */
export function issuesOf(error: z.ZodError, values: unknown): FieldError[] {
  return error.issues.map((issue): FieldError => {
    const field = { pointer: issue.path.map((key) => `/${String(key)}`).join(""), detail: issue.message };
    if (isMissing(valueAt(values, issue.path))) return { ...field, code: "field.required" };
    switch (issue.code) {
      case "too_small":
        return { ...field, code: "field.range", meta: { minimum: Number(issue.minimum) } };
      case "too_big":
        return { ...field, code: "field.range", meta: { maximum: Number(issue.maximum) } };
      case "invalid_type":
        return { ...field, code: "field.type" };
      case "invalid_value":
        return { ...field, code: "field.choice" };
      case "invalid_format":
        return { ...field, code: "field.format" };
      case "custom":
        return { ...field, code: typeof issue.params?.code === "string" ? issue.params.code : "field.invalid" };
      default:
        return { ...field, code: "field.invalid" };
    }
  });
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

function valueAt(values: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], values);
}

/** A JSON pointer as a form path: `/realServers/0/rip` → `realServers.0.rip`. */
export function formPath(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(".");
}

/** Reads a number typed into a text box: nothing typed is null, and what is no number stays as it is, for the schema to refuse. */
export function numberTyped(text: unknown): unknown {
  if (typeof text !== "string") return text;
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return /^\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : trimmed;
}
