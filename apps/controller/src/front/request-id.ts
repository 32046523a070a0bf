import { randomBytes } from "node:crypto";
import { idFrom } from "@trigon/model";

/** A new `req_…`, found again in the answer's `x-request-id`, the log, the audit and every problem document. */
export const newRequestId = () => idFrom("request", randomBytes(12));
