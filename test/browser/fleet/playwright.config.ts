import { defineConfig } from "@playwright/test";
import alone from "../playwright.config.ts";

/** The same console with a fleet behind it: a lab with a real IPVS kernel, two of whose real servers and one of whose directors are nodes. */
export default defineConfig({
  ...alone,
  testDir: ".",
  testIgnore: [],
  globalSetup: "./start-fleet.ts",
  outputDir: "../../../test-results/fleet",
});
