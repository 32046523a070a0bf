// Runs agent.cjs with the code cache that was built beside it: a start compiles nothing anew. A cache of another Node is left aside.
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { dirname, join } = require("node:path");
const { Script } = require("node:vm");

const file = join(__dirname, "agent.cjs");
// A cache fits only the options of Node that it was made under: the launcher gives `run` one.
const cache = join(__dirname, process.execArgv.length > 0 ? "agent.run.cache" : "agent.cache");

function readCache() {
  try {
    return readFileSync(cache);
  } catch {
    return undefined;
  }
}

// The bundle is plain ASCII: read as such it is not decoded, nor kept twice as wide.
const source = `(function (require, module, __filename, __dirname) {${readFileSync(file, "latin1")}\n})`;
const cachedData = readCache();
const script = new Script(source, { filename: file, cachedData });
// The build asks for it. At the end, when it is known which functions a start needs.
if (process.env.TRIGON_WRITE_CODE_CACHE === "1" && script.cachedDataRejected !== false)
  process.once("exit", () => writeFileSync(cache, script.createCachedData()));
script.runInThisContext()(createRequire(file), { exports: {} }, file, dirname(file));
