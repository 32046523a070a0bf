import type { Resource } from "@trigon/model";

/** A resource in words, for tables and reports. */
export function textOf(resource: Resource): string {
  return resource.key;
}
