import { defineConfig } from "@playwright/test";

/** The real console, served by the real appliance, in the distribution's Chromium. */
export default defineConfig({
  testDir: ".",
  testMatch: "*.spec.ts",
  testIgnore: "fleet/**",
  globalSetup: "./start-appliance.ts",
  outputDir: "../../test-results/browser",
  // One appliance serves all of them: files run one after another.
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 15_000 },
  reporter: [["list"]],
  use: {
    ignoreHTTPSErrors: true,
    locale: "en-US",
    viewport: { width: 1280, height: 900 },
    trace: "retain-on-failure",
    launchOptions: { executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] },
  },
});
