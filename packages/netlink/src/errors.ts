import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";

const codes = new Map<number, string>();
for (const [code, errno] of Object.entries(constants.errno)) if (!codes.has(errno)) codes.set(errno, code);
codes.set(constants.errno.EOPNOTSUPP, "EOPNOTSUPP"); // the kernel's own word; Node lists ENOTSUP too
codes.set(constants.errno.EAGAIN, "EAGAIN");

/** The symbol of a positive errno: `3` is `ESRCH`. A number Node does not know becomes `E<number>`. */
export const errnoCode = (errno: number): string => codes.get(errno) ?? `E${errno}`;

/**
 * A request that the kernel refused, or whose answer never came.
 *
 * Besides what the kernel says, the transport uses: `ETIMEDOUT` (no answer in time; the outcome is unknown), `ECANCELED` (the
 * socket was closed), `EINTR` (a dump kept being interrupted by changes), `ENOBUFS` (answers were lost; the outcome is
 * unknown), `EMSGSIZE` (an answer did not fit).
 */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
  /** Positive, as in <errno.h>. */
  readonly errno: number;
  /** `EEXIST`, `ESRCH`, … */
  readonly code: string;
  /** What was tried, in words. */
  readonly request: string;

  constructor(errno: number, request: string, detail?: string) {
    const code = errnoCode(errno);
    super(`${request}: ${code} (${detail ?? getSystemErrorMap().get(-errno)?.[1] ?? "unknown error"})`);
    this.errno = errno;
    this.code = code;
    this.request = request;
  }
}

/** True for a NetlinkError with one of these codes. */
export const isNetlinkError = (error: unknown, ...codes: string[]): error is NetlinkError =>
  error instanceof NetlinkError && (codes.length === 0 || codes.includes(error.code));
