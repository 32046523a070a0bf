/** Milliseconds since the machine booted (CLOCK_MONOTONIC): they go on while this process does not run, and nobody sets them back. */
export const sinceBoot = (): number => Number(process.hrtime.bigint() / 1_000_000n);
