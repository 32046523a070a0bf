import { fieldErrorsOf } from "@trigon/api";
import { DomainError } from "@trigon/model";
import type { z } from "zod";

/** The body as text of at most `maxBytes`. Throws `request.tooLarge`; never holds more than that in memory. */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const tooLarge = () => new DomainError("request.tooLarge", `The body may have at most ${maxBytes} bytes.`);
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
  if (!request.body) return "";
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    total += chunk.byteLength;
    if (total > maxBytes) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** A JSON body of the shape of `schema`. Throws `media.unsupported`, `body.invalid` (naming each wrong field) or `request.tooLarge`. */
export async function readJson<T extends z.ZodType>(request: Request, schema: T, maxBytes: number): Promise<z.output<T>> {
  if (!/^application\/json\b/i.test(request.headers.get("content-type") ?? "")) {
    throw new DomainError("media.unsupported", "Send application/json.");
  }
  const text = await readText(request, maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DomainError("body.invalid", "The body is not JSON.");
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = fieldErrorsOf(parsed.error);
  throw new DomainError("body.invalid", `${fields[0]?.pointer || "the body"}: ${fields[0]?.detail ?? "is not valid"}`, fields);
}
