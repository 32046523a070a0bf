import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { AgentUpgrade } from "@trigon/model";
import { writeAtomically } from "../state/files.ts";

const run = promisify(execFile);

/** An installer that has not ended by then does not any more: its machine went down, or it was killed. */
const longestMs = 15 * 60_000;
const outputChars = 4_000;

/** Where an upgrade that a controller asked for is written down, by whoever starts it and by the installer's own process. */
export const upgradeRecordPath = (state: string): string => join(state, "upgrade.json");

export function readUpgradeRecord(path: string): AgentUpgrade | null {
  if (!existsSync(path)) return null;
  try {
    return AgentUpgrade.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null; // one of another version: this upgrade is not it
  }
}

/** The installer of the upgrade of that id ended. */
export function recordUpgradeEnd(path: string, id: string, { exitCode, output }: { exitCode: number; output: string }): void {
  const record = readUpgradeRecord(path);
  if (record?.id !== id) return;
  const state = exitCode === 0 ? "done" : "failed";
  writeAtomically(
    path,
    JSON.stringify({ ...record, state, exitCode, output: output.trim().slice(-outputChars) } satisfies AgentUpgrade),
  );
}

export interface UpgradesOptions {
  state: string;
  /** Why this node is not upgraded from afar; null: it may be. */
  refusal: () => string | null;
  /** Starts the installer where it outlives this agent, and answers at once. */
  start?: (id: string) => Promise<void>;
  now?: () => number;
}

/** Upgrades that a controller asks for. */
export class Upgrades {
  readonly #options: UpgradesOptions;

  constructor(options: UpgradesOptions) {
    this.#options = options;
  }

  /** Starts the upgrade of this id unless that was done before, and says how it stands. Throws why it cannot be started. */
  async ask(id: string): Promise<AgentUpgrade> {
    const { state, refusal, start = startUnit(state), now = Date.now } = this.#options;
    const path = upgradeRecordPath(state);
    const known = readUpgradeRecord(path);
    const isLost = known?.state === "running" && now() - Date.parse(known.startedAt) > longestMs;
    if (known && isLost) recordUpgradeEnd(path, known.id, { exitCode: -1, output: "The installer did not end." });
    if (known?.id === id) return readUpgradeRecord(path) ?? known;
    if (known?.state === "running" && !isLost) throw new Error("Another upgrade runs on this node");
    const reason = refusal();
    if (reason !== null) throw new Error(reason);
    const begun: AgentUpgrade = { id, state: "running", startedAt: new Date(now()).toISOString(), exitCode: null, output: "" };
    // First on the disk: asked again, by another controller or after a restart, nothing starts twice.
    writeAtomically(path, JSON.stringify(begun));
    try {
      await start(id);
    } catch (error) {
      recordUpgradeEnd(path, id, { exitCode: -1, output: (error as Error).message });
    }
    return readUpgradeRecord(path) ?? begun;
  }
}

/**
 * A unit of its own (systemd-run(1)): the installer restarts the agent's unit, and needs more than that one may.
 * systemd knows a failed start at once, and drops the unit when it ends.
 */
const startUnit = (state: string) => async (id: string) => {
  await run("systemd-run", [
    ...["--quiet", "--collect", "--unit=trigon-agent-upgrade", `--setenv=TRIGON_STATE=${state}`],
    ...["/opt/trigon/bin/trigon-agent", "upgrade", "--record", id],
  ]);
};

/** systemd starts the agent anew, where it started this one; elsewhere nobody would. */
export function serviceRefusal(unit = "/etc/systemd/system/trigon-agent.service"): string | null {
  return existsSync(unit)
    ? null
    : 'systemd does not run this agent, so nothing would start it anew: run "trigon-agent upgrade" on the node, and restart it there';
}
