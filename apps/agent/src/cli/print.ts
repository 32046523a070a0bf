import type { DoctorReport, FragmentState, TableRow } from "@trigon/model";
import type { ApplyResult } from "../apply-result.ts";
import type { AgentStatus } from "../status.ts";
import type { Uninstalled } from "../uninstall.ts";

const mark = (isGood: boolean) => (isGood ? "✓" : "✗");

function fragmentLines(fragments: readonly FragmentState[]): string[] {
  const width = Math.max(0, ...fragments.map(({ id }) => id.length));
  return fragments.map(({ id, state, message }) =>
    `  ${mark(state === "applied")} ${id.padEnd(width)}  ${state}${message ? `: ${message}` : ""}`.trimEnd(),
  );
}

function rowLines(rows: readonly TableRow[]): string[] {
  return rows.flatMap(({ state, desired, observed }) => {
    if (state === "ok") return [`  ✓ ${desired}`];
    if (state === "foreign") return [`  · ${observed}   (not Trigon's)`];
    return [`  ✗ ${desired}`, `    ${observed === null ? "is not there" : `is: ${observed}`}`];
  });
}

export function applyText(result: ApplyResult): string {
  const head = result.accepted
    ? `Plan accepted, generation ${result.generation}`
    : `Plan refused (${result.reason}): ${result.message}`;
  return [head, ...fragmentLines(result.fragments)].join("\n");
}

export function statusText(status: AgentStatus): string {
  const { version, running, name, controller, hold, position, fragments, table } = status;
  const good = table.rows.filter(({ state }) => state === "ok").length;
  const foreign = table.rows.filter(({ state }) => state === "foreign").length;
  return [
    `trigon-agent ${version}, ${running ? "running" : "not running"}${name === null ? "" : `, node ${name}`}`,
    controller && `controller  ${controller.state}  ${controller.url}${controller.reason ? `  (${controller.reason})` : ""}`,
    hold && `held        ${hold.message}`,
    position
      ? `plan        generation ${position.generation}, epoch ${position.epoch}, fleet ${position.fleetId}`
      : "plan        none yet",
    fragments.length > 0 &&
      `parts       ${fragments.filter(({ state }) => state === "applied").length} of ${fragments.length} applied`,
    ...fragmentLines(fragments),
    ...(status.groups ?? []).flatMap(({ groupId, role, findings }) => [
      `group       ${groupId}: ${role}`,
      ...findings.map(({ message }) => `            ${message}`),
    ]),
    table.total > 0 && `kernel      ${good} of ${table.total - foreign} as planned`,
    status.sweepBoundMs !== undefined && `sweep       everything within ${(status.sweepBoundMs / 1000).toFixed(1)} s`,
    ...rowLines(table.rows),
  ]
    .filter((line) => typeof line === "string")
    .join("\n");
}

const doctorMarks = { ok: "✓", warn: "!", fail: "✗" } as const;

/** What is wrong with its reason and the command that shows it; what is well in one line. */
export function doctorText({ findings }: DoctorReport): string {
  const order = { fail: 0, warn: 1, ok: 2 } as const;
  const lines = findings
    .toSorted((a, b) => order[a.state] - order[b.state])
    .flatMap(({ check, subject, state, observed, wanted, why, command }) => {
      const head = `  ${doctorMarks[state]} ${check}  ${subject}: ${observed}`;
      return state === "ok" ? [head] : [head, `      wanted: ${wanted}`, `      why:    ${why}`, `      see:    ${command}`];
    });
  const bad = findings.filter(({ state }) => state === "fail").length;
  return [...lines, bad === 0 ? "Nothing here loses traffic." : `${bad} of these lose traffic.`].join("\n");
}

export function uninstalledText({ removed, restored, left, files, packages }: Uninstalled): string {
  return [
    ...removed.map((text) => `  ✓ removed   ${text}`),
    ...restored.map(({ text, value, isRestored }) =>
      isRestored ? `  ✓ restored  ${text} to ${value ?? "nothing"}` : `  · kept      ${text}: somebody else has set it since`,
    ),
    ...left.map(({ text, message }) => `  ✗ left      ${text}: ${message}`),
    ...files.map((path) => `  ✓ removed   ${path}`),
    ...packages.map((name) => `  · kept      the package ${name}; if nothing else uses it: apt-get purge ${name}`),
    left.length > 0 ? "Not all could be removed; the journal is kept, so run this again." : "Trigon is gone from this machine.",
  ].join("\n");
}
