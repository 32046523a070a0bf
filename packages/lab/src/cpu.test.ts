import { expect, test } from "vitest";
import { parseCpuList, pickCpu } from "./cpu.ts";

test("a CPU list is read as the kernel prints it", () => {
  expect(parseCpuList("0")).toEqual([0]);
  expect(parseCpuList("0-2,5,8-9")).toEqual([0, 1, 2, 5, 8, 9]);
});

test("the picked CPU is one that this machine has", () => {
  expect(pickCpu()).toBeGreaterThanOrEqual(0);
});
