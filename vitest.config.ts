import { defineConfig } from "vitest/config";
import { RunLast } from "./test/run-last.ts";

const exclude = ["**/node_modules/**", "**/dist/**", "**/.next/**"];

/** Five slices: `unit` needs nothing, `api` starts a real Postgres, `lab` boots a real IPVS kernel, `product` everything together, `walk` the same
 * with a random walk that takes it apart at the end. */
export default defineConfig({
  test: {
    sequence: { sequencer: RunLast },
    projects: [
      {
        test: {
          name: "unit",
          include: [
            "packages/**/*.test.ts",
            "apps/**/*.test.ts",
            "infra/**/*.test.ts",
            "test/*.test.ts",
            "test/golden/**/*.test.ts",
            "test/contract/**/*.test.ts",
            "test/bench/**/*.test.ts",
          ],
          exclude: [...exclude, "**/*.api.test.ts"],
        },
      },
      {
        test: {
          name: "api",
          include: ["packages/**/*.api.test.ts", "apps/**/*.api.test.ts", "test/api/**/*.test.ts"],
          exclude,
          globalSetup: "packages/db/src/testing/global-setup.ts",
          testTimeout: 30_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
        },
      },
      {
        test: {
          name: "lab",
          include: ["test/lab/**/*.test.ts"],
          exclude,
          globalSetup: "test/lab/setup.ts",
          testTimeout: 120_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "product",
          include: ["test/product/**/*.test.ts"],
          exclude,
          globalSetup: "test/product/setup.ts",
          testTimeout: 180_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "walk",
          include: ["test/walk/**/*.test.ts"],
          exclude,
          globalSetup: "test/product/setup.ts",
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
