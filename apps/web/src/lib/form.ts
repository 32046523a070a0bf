"use client";
import { toNestErrors } from "@hookform/resolvers";
import type { FieldError as ApiFieldError } from "@trigon/model";
import type { FieldErrors, FieldValues, Path, Resolver, UseFormReturn } from "react-hook-form";
import type { z } from "zod";
import { useSay } from "../i18n/say.ts";
import { formPath, issuesOf } from "./field-issues.ts";

/** A sentence for a wrong field in the reader's language. */
export function useFieldSentence(): (field: ApiFieldError) => string {
  const say = useSay();
  return (field) => {
    const bound =
      field.code === "field.range" ? (["maximum", "minimum"] as const).find((end) => field.meta?.[end] !== undefined) : undefined;
    return say("fieldError", bound ? `field.${bound}` : field.code, field.detail, field.meta);
  };
}

function asTyped<Values>(values: Values) {
  return { values, toForm: (pointer: string) => pointer };
}

/** A resolver for react-hook-form from a schema of the model, with its errors in the reader's language. `prepare` may leave out what is not to be sent. */
export function useSchemaResolver<Values extends FieldValues, Output extends FieldValues>(
  schema: z.ZodType<Output>,
  prepare: (values: Values) => { values: Values; toForm: (pointer: string) => string } = asTyped,
): Resolver<Values, unknown, Output> {
  const sentence = useFieldSentence();
  return async (typed, _context, options) => {
    const { values, toForm } = prepare(typed);
    const parsed = schema.safeParse(values);
    if (parsed.success) return { values: parsed.data, errors: {} };
    const errors: Record<string, { type: string; message: string }> = {};
    for (const issue of issuesOf(parsed.error, values)) {
      errors[formPath(toForm(issue.pointer))] ??= { type: issue.code, message: sentence(issue) };
    }
    return { values: {}, errors: toNestErrors(errors as FieldErrors<Values>, options) };
  };
}

/** Puts the server's field errors where they belong, and the cursor on the first. One about the whole object has no field to go to. */
export function placeErrors<Values extends FieldValues, Output extends FieldValues>(
  form: UseFormReturn<Values, unknown, Output>,
  fields: readonly ApiFieldError[],
  sentence: (field: ApiFieldError) => string,
): void {
  const placed = fields.filter(({ pointer }) => formPath(pointer) !== "");
  for (const [index, field] of placed.entries()) {
    const path = formPath(field.pointer) as Path<Values>;
    form.setError(path, { type: field.code, message: sentence(field) }, { shouldFocus: index === 0 });
  }
}
