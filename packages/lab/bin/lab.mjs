#!/usr/bin/env node
import { register } from "tsx/esm/api";

register();
const { main } = await import("../src/cli.ts");
try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  console.error(`lab: ${error.message}`);
  process.exit(1);
}
