import { fail, type ProbeResult, unable } from "../probe.ts";

/**
 * A timer that fires this much later than asked says that the director itself was stalled, which is no fault of the real server's: it gets the
 * time once more.
 */
const stalledMs = 150;

/**
 * One try with one deadline. `begin` starts it and answers how to clean up; the first result given to `settle` counts. Never rejects.
 */
export function attempt(
  timeoutMs: number,
  begin: (settle: (result: ProbeResult) => void, passed: () => void) => () => void,
  late: () => ProbeResult = () => fail("timeout", `No answer within ${timeoutMs} ms`),
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    let cleanUp: () => void = () => undefined;
    let isOver = false;
    const settle = (result: ProbeResult) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      cleanUp();
      resolve(result);
    };
    const onDeadline = (from: number, isGrace: boolean) => {
      const lateMs = performance.now() - from - timeoutMs;
      // What arrived while the process was busy comes before the verdict that nothing did.
      setImmediate(() => {
        if (isOver) return;
        if (lateMs <= stalledMs) settle(late());
        else if (isGrace) settle(unable("The director was too busy to probe in time"));
        else arm(true);
      });
    };
    let timer: NodeJS.Timeout;
    const arm = (isGrace: boolean) => {
      const from = performance.now();
      timer = setTimeout(() => onDeadline(from, isGrace), timeoutMs);
    };
    arm(false);
    const passed = () => settle({ outcome: "pass", latencyMs: Math.round((performance.now() - startedAt) * 10) / 10 });
    try {
      cleanUp = begin(settle, passed);
      if (isOver) cleanUp();
    } catch (error) {
      settle(unable((error as Error).message));
    }
  });
}

const ownTrouble = new Set([
  "EMFILE",
  "ENFILE",
  "ENOBUFS",
  "ENOMEM",
  "EADDRNOTAVAIL",
  "EADDRINUSE",
  "EPERM",
  "EACCES",
  "EAFNOSUPPORT",
  "EINVAL",
]);

/** What a socket's error says: about the real server, or only about this machine. */
export function resultOf(error: NodeJS.ErrnoException): ProbeResult {
  const { code = "", message } = error;
  if (ownTrouble.has(code)) return unable(`The director could not probe: ${message}`);
  if (code === "ECONNREFUSED") return fail("refused", "The connection was refused");
  if (code === "ECONNRESET" || code === "EPIPE" || code === "ECONNABORTED") return fail("reset", "The connection was reset");
  if (code === "EHOSTUNREACH" || code === "ENETUNREACH" || code === "EHOSTDOWN")
    return fail("unreachable", "The real server cannot be reached");
  if (code === "ETIMEDOUT") return fail("timeout", "No answer came");
  return fail("protocol", message);
}
