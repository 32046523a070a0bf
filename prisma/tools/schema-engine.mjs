#!/usr/bin/env node
/**
 * A stand-in for Prisma's native `schema-engine` binary, for `prisma migrate …` without its download: the same line-delimited JSON-RPC on
 * stdin and stdout, backed by @prisma/schema-engine-wasm and @prisma/adapter-pg. A development tool on an undocumented protocol: the
 * product never runs it, and the versions of all prisma packages are exact and equal.
 */
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from "@prisma/driver-adapter-utils";
import pg from "pg";

const { datamodels, datasource, command } = readArguments(process.argv.slice(2));

function readArguments(argv) {
  const found = { datamodels: [], datasource: {}, command: undefined };
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i];
    if (word === "--version" || word === "-V") {
      console.log("schema-engine-cli wasm");
      process.exit(0);
    } else if (word === "--datamodels" || word === "-d") found.datamodels.push(argv[++i]);
    else if (word === "--datasource") found.datasource = JSON.parse(argv[++i]);
    else if (word === "--enabled-preview-features" || word === "--extension-types") i++;
    else if (word === "cli") found.command = argv[++i];
  }
  return found;
}

function log(level, message, fields = {}) {
  const line = { timestamp: new Date().toISOString(), level, fields: { message, ...fields }, target: "schema_engine::logger" };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

async function withClient(url, use) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function inDatabase(url, name) {
  const other = new URL(url);
  other.pathname = `/${name}`;
  return other.toString();
}

async function runCommand(name) {
  if (name === "can-connect-to-database") return withClient(datasource.url, () => undefined);
  const verb = { "create-database": "CREATE", "drop-database": "DROP" }[name];
  if (!verb) throw new Error(`unknown command ${name}`);
  const database = decodeURIComponent(new URL(datasource.url).pathname.slice(1));
  await withClient(inDatabase(datasource.url, "postgres"), (client) =>
    client.query(`${verb} DATABASE ${client.escapeIdentifier(database)}`),
  );
}

if (command) {
  log("INFO", "Starting schema engine CLI"); // the Prisma CLI drops the first line of stderr
  try {
    await runCommand(command);
    process.exit(0);
  } catch (error) {
    const prismaCode = { "3D000": "P1003", "28P01": "P1000", 28000: "P1000" }[error.code] ?? "P1001";
    log("ERROR", error.message, { error_code: prismaCode, is_panic: false });
    process.exit(1);
  }
}

const require = createRequire(import.meta.url);
const wasmFolder = path.dirname(require.resolve("@prisma/schema-engine-wasm"));
const bindings = await import(path.join(wasmFolder, "schema_engine_bg.js"));
globalThis.PRISMA_WASM_PANIC_REGISTRY = {
  message: "",
  set_message(text) {
    this.message = `RuntimeError: ${text}`;
  },
};
const { instance } = await WebAssembly.instantiate(fs.readFileSync(path.join(wasmFolder, "schema_engine_bg.wasm")), {
  "./schema_engine_bg.js": bindings,
});
bindings.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start();

const internalChar = 18; // the type "char" of pg_catalog, which adapter-pg does not know
const text = 25;

/** What the schema engine needs of an adapter-pg connection or transaction and adapter-pg 7.10 lacks. */
function complete(connection) {
  const { queryRaw, performIO, startTransaction } = connection;
  connection.queryRaw = async (query) => {
    let isChar = [];
    const view = Object.create(connection, {
      performIO: {
        value: async (statement) => {
          const result = await performIO.call(connection, statement);
          isChar = result.fields.map((field) => field.dataTypeID === internalChar);
          const fields = result.fields.map((field, at) => (isChar[at] ? { ...field, dataTypeID: text } : field));
          return { ...result, fields };
        },
      },
    });
    const rows = await queryRaw.call(view, query);
    for (const [at, char] of isChar.entries()) if (char) rows.columnTypes[at] = ColumnTypeEnum.Character;
    return rows;
  };
  // adapter-pg splits a script at every ";", which breaks function bodies: send it whole.
  connection.executeScript = async (script) => {
    try {
      await connection.client.query(script);
    } catch (error) {
      connection.onError(error);
    }
  };
  if (startTransaction) connection.startTransaction = async (...args) => complete(await startTransaction.apply(connection, args));
  return connection;
}

class EngineAdapter extends PrismaPg {
  constructor(url) {
    super({ connectionString: url, max: 1 }, { schema: new URL(url).searchParams.get("schema") ?? undefined }); // one session holds the advisory lock
    this.url = url;
  }

  async connect() {
    return complete(await super.connect());
  }

  /** adapter-pg would use the main database as its shadow. */
  async connectToShadowDb() {
    if (datasource.shadowDatabaseUrl) {
      const shadow = await new EngineAdapter(datasource.shadowDatabaseUrl).connect();
      await shadow.executeScript("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;");
      return shadow;
    }
    const name = `prisma_migrate_shadow_db_${globalThis.crypto.randomUUID()}`;
    const main = await this.connect();
    await main.executeScript(`CREATE DATABASE "${name}"`);
    const shadow = await new EngineAdapter(inDatabase(this.url, name)).connect();
    const dispose = shadow.dispose.bind(shadow);
    shadow.dispose = async () => {
      await dispose();
      await main.executeScript(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
      await main.dispose();
    };
    return shadow;
  }
}

let started;
function engine() {
  started ??= bindings.SchemaEngine.new(
    { datamodels: datamodels.length > 0 ? datamodels.map((file) => [file, fs.readFileSync(file, "utf8")]) : undefined },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(new EngineAdapter(datasource.url)),
  );
  return started;
}

const send = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

async function call(method, params) {
  if (method === "createDatabase" || method === "ensureConnectionValidity") {
    await withClient(datasource.url, () => undefined);
    return {};
  }
  const result = await (await engine())[method === "getDatabaseVersion" ? "version" : method](params);
  if (method !== "diff") return result ?? {};
  // The native engine prints a diff through a notification of its own.
  if (result.stdout) send({ id: "print", method: "print", params: { content: result.stdout } });
  return { exitCode: result.exitCode, stdout: null };
}

async function answer({ id, method, params }) {
  try {
    send({ id, result: await call(method, params) });
  } catch (error) {
    const panic = globalThis.PRISMA_WASM_PANIC_REGISTRY.message;
    const data = { is_panic: panic !== "", message: panic || error.message, meta: error.meta ?? {}, error_code: error.code };
    send({ id, error: { code: 4466, message: "An error happened. Check the data field for details.", data } });
  }
}

let last = Promise.resolve();
const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const message = line.trim() ? JSON.parse(line) : {};
  if (message.method) last = last.then(() => answer(message));
});
lines.on("close", () => last.then(() => process.exit(0)));
process.on("SIGTERM", () => process.exit(0));
