import { DomainError } from "@trigon/model";
import type { Revision } from "./shapes.ts";

/** Throws `revision.required` without a revision, and `revision.stale` when somebody else was faster. */
export function checkRevision(current: number, revision: Revision): void {
  if (revision === undefined) {
    throw new DomainError("revision.required", "Say which revision this change is based on (If-Match, or `revision`).");
  }
  if (revision === "*" || revision === current) return;
  throw new DomainError("revision.stale", `This is revision ${current} now; the change was based on ${revision}. Read it again.`);
}
