/**
 * What a lab host runs: `contract WORLD` proves the kernel contract on the kernel this process is in and prints a line of JSON for each case;
 * `call METHOD ARGUMENTS` answers one call of the port. WORLD and ARGUMENTS are JSON.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createKernel } from "@trigon/kernel";
import type { Kernel } from "@trigon/reconciler";
import { kernelContract, type World } from "./kernel.ts";

export interface CaseReport {
  name: string;
  milliseconds: number;
  error?: string;
}

const run = promisify(execFile);
const look: World["look"] = async (program, ...args) => (await run(program, args, { maxBuffer: 1 << 26 })).stdout;
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function contract(surroundings: Omit<World, "kernel" | "look">, only = ""): Promise<void> {
  for (const { name, run: prove } of kernelContract.filter((one) => one.name.includes(only))) {
    const kernel = createKernel();
    const start = performance.now();
    let error: string | undefined;
    try {
      await prove({ kernel, look, ...surroundings });
    } catch (thrown) {
      error = (thrown as Error).stack ?? String(thrown);
    }
    await kernel.close();
    print({ name, milliseconds: Math.round(performance.now() - start), error } satisfies CaseReport);
  }
}

async function call(method: keyof Kernel, args: unknown[]): Promise<void> {
  const kernel = createKernel();
  const answer = await (kernel[method] as (...given: unknown[]) => unknown)(...args);
  print(answer instanceof Map ? [...answer] : (answer ?? null));
  await kernel.close();
}

const [verb, first = "", second] = process.argv.slice(2);
if (verb === "contract") await contract(JSON.parse(first), second);
else await call(first as keyof Kernel, JSON.parse(second ?? "[]"));
