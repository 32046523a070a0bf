import { readFileSync } from "node:fs";
import { createKernel, readMachine } from "@trigon/kernel";
import { type DoctorReport, parseFragment } from "@trigon/model";
import { Command } from "commander";
import { type ApplyResult, applyResult, isReached } from "./apply-result.ts";
import { readPlanFile } from "./cli/plan-file.ts";
import { applyText, doctorText, statusText, uninstalledText } from "./cli/print.ts";
import { askAgent } from "./control.ts";
import { lookAt } from "./doctor.ts";
import { inspect } from "./inspect.ts";
import { createLog, reasonOf, silentLog } from "./log.ts";
import { openNode } from "./node.ts";
import { agentPaths } from "./paths.ts";
import { readIdentity } from "./state/identity.ts";
import { takeLock } from "./state/lock.ts";
import { readPlanCache } from "./state/plan-cache.ts";
import type { AgentStatus } from "./status.ts";
import { uninstall } from "./uninstall.ts";
import { agentVersion } from "./version.ts";

const paths = agentPaths();
const say = (text: string) => process.stdout.write(`${text}\n`);
const print = <T>(value: T, asJson: boolean | undefined, text: (value: T) => string) =>
  say(asJson ? JSON.stringify(value, null, 2) : text(value));

const program = new Command("trigon-agent")
  .description("Keeps this node's part of a Trigon load balancer as planned.\nState lies in /var/lib/trigon (TRIGON_STATE).")
  .version(agentVersion);

program
  .command("run")
  .description("run the agent until it is told to stop; traffic goes on when it stops")
  .action(async () => {
    const stop = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
    // Loaded when needed: the HTTP client is half of this program, and the other commands start sooner without it.
    const { runDaemon } = await import("./daemon.ts");
    await runDaemon(paths, createLog(), stop.signal);
    process.exit(0);
  });

program
  .command("apply")
  .description("make a plan file this node's plan and carry it out; exit code 0 when all of it stands")
  .argument("<plan.json>", 'a plan as the controller sends it, or {"fragments": […]}')
  .option("--json", "print JSON")
  .action(async (file: string, { json }: { json?: boolean }) => {
    const enrollment = readIdentity(paths.state)?.enrollment;
    if (enrollment) throw new Error(`This node takes its plan from ${enrollment.consoleUrl}: make the change there`);
    const running = (await askAgent(paths.socket, "status")) as { answer: AgentStatus } | null;
    const result = running
      ? ((await askAgent(paths.socket, "apply", readPlanFile(file, running.answer.position)))!.answer as ApplyResult)
      : await applyAlone(file);
    print(result, json, applyText);
    process.exit(isReached(result) ? 0 : 1);
  });

program
  .command("status")
  .description("what this node should hold beside what it holds; works without a controller, and without the agent running")
  .option("--json", "print JSON")
  .action(async ({ json }: { json?: boolean }) => {
    const running = await askAgent(paths.socket, "status");
    const status = running ? (running.answer as AgentStatus) : await inspectAlone();
    print(status, json, statusText);
    process.exit(0);
  });

program
  .command("doctor")
  .description("look for what would keep this node's part from working; changes nothing; exit code 1 when traffic is lost")
  .option("--json", "print JSON")
  .action(async ({ json }: { json?: boolean }) => {
    const running = await askAgent(paths.socket, "doctor");
    const report = running ? (running.answer as DoctorReport) : await examineAlone();
    print(report, json, doctorText);
    process.exit(report.findings.some(({ state }) => state === "fail") ? 1 : 0);
  });

program
  .command("uninstall")
  .description("stop the agent, take out of the kernel what Trigon made, put back what it found, and remove the program")
  .option("--keep-files", "leave program, state and policy on the disk")
  .option("--json", "print JSON")
  .action(async ({ keepFiles, json }: { keepFiles?: boolean; json?: boolean }) => {
    const result = await uninstall(paths, { keepFiles: keepFiles ?? false });
    print(result, json, uninstalledText);
    process.exit(result.left.length > 0 ? 1 : 0);
  });

program
  .command("upgrade")
  .description("bring this node's program to the console's version; the agent starts anew, traffic goes on")
  .option("--dry-run", "run every check, change nothing")
  .option("--record <id>", "write down for the controller what becomes of it; the agent's own use")
  .action(async ({ dryRun, record }: { dryRun?: boolean; record?: string }) => {
    const { upgrade, recordedUpgrade } = await import("./upgrade.ts");
    process.exit(record === undefined ? await upgrade(paths, { dryRun: dryRun ?? false }) : await recordedUpgrade(paths, record));
  });

program
  .command("enroll")
  .description("turn a one-time token into this node's identity; a valid identity of the same appliance is kept")
  .requiredOption("--url <url>", "the console's address")
  .requiredOption("--token <token>", "the one-time token")
  .requiredOption("--ca <file>", "the appliance's CA certificate (PEM), the only one that is trusted")
  .option("--name <name>", "this node's name; default: the host's")
  .action(async ({ url, token, ca, name }: { url: string; token: string; ca: string; name?: string }) => {
    const kernel = createKernel();
    const found = await kernel.facts().finally(() => kernel.close());
    const facts = name === undefined ? found : { ...found, hostname: name };
    const { enroll } = await import("./link/enroll.ts");
    const { identity, fresh } = await enroll({
      url,
      token,
      ca: readFileSync(ca, "utf8"),
      stateDirectory: paths.state,
      agentVersion,
      facts,
    });
    const { name: given, nodeId } = identity.enrollment;
    say(fresh ? `enrolled as ${given} (${nodeId})` : `already enrolled as ${given} (${nodeId})`);
    process.exit(0);
  });

async function applyAlone(file: string): Promise<ApplyResult> {
  const lock = takeLock(paths.lock);
  if ("holder" in lock) throw new Error(`Another trigon-agent is at work: process ${lock.holder.pid}`);
  const node = await openNode({ paths, log: silentLog, onChange: () => undefined });
  try {
    const acceptance = node.loop.accept(readPlanFile(file, node.loop.position));
    node.loop.start();
    await node.loop.settled();
    return applyResult(acceptance, node.loop);
  } finally {
    await node.close();
    lock.release();
  }
}

async function examineAlone(): Promise<DoctorReport> {
  const kernel = createKernel();
  try {
    const facts = await kernel.facts();
    const { table } = await inspect(paths, kernel);
    const foreign = table.rows.filter(({ state }) => state === "foreign");
    // A fragment that this agent does not understand is not judged.
    const fragments = [...readPlanCache(paths.state).fragments.values()].flatMap((raw) => parseFragment(raw).data ?? []);
    return { at: new Date().toISOString(), findings: await lookAt({ fragments, facts, foreign }, readMachine) };
  } finally {
    await kernel.close();
  }
}

async function inspectAlone(): Promise<AgentStatus> {
  const kernel = createKernel();
  return inspect(paths, kernel).finally(() => kernel.close());
}

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`trigon-agent: ${reasonOf(error)}\n`);
  process.exit(1);
});
