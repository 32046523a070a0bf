/**
 * Runs the kernel contract on the kernel this process is in, and prints a line of JSON for each case. Argument: the world as JSON, without the
 * kernel. For a lab host; the outside turns the lines into tests.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createKernel } from "@trigon/kernel";
import { kernelContract, type World } from "./kernel.ts";

export interface CaseReport {
  name: string;
  milliseconds: number;
  error?: string;
}

const run = promisify(execFile);
const look: World["look"] = async (program, ...args) => (await run(program, args, { maxBuffer: 1 << 26 })).stdout;
const surroundings = JSON.parse(process.argv[2] ?? "") as Omit<World, "kernel" | "look">;
const only = process.argv[3];

for (const { name, run: prove } of kernelContract.filter((one) => only === undefined || one.name.includes(only))) {
  const kernel = createKernel();
  const start = performance.now();
  let error: string | undefined;
  try {
    await prove({ kernel, look, ...surroundings });
  } catch (thrown) {
    error = (thrown as Error).stack ?? String(thrown);
  }
  await kernel.close();
  const report: CaseReport = { name, milliseconds: Math.round(performance.now() - start), error };
  process.stdout.write(`${JSON.stringify(report)}\n`);
}
