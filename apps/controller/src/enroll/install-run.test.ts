import { execFileSync, spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fillInstallScript } from "./install-script.ts";

// The script itself, run by sh against a console of the test's own, with certificates from openssl.
let folder: string;
let console_: Server;
let agents: Server;
let foreign: Server;
const told: { stage: string; message: string }[] = [];
let progress: { status: number; body: object };
const template = readFileSync(fileURLToPath(new URL("../../../../infra/install/install.sh", import.meta.url)), "utf8");

const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
const file = (name: string) => readFileSync(join(folder, name), "utf8");
const portOf = (server: Server) => (server.address() as AddressInfo).port;

function authority(name: string) {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...key, "-days", "9", "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.crt`);
  openssl(
    "req",
    ...key,
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
    "-keyout",
    `${name}-leaf.key`,
    "-out",
    `${name}.csr`,
  );
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${name}.crt`,
    "-CAkey",
    `${name}.key`,
    "-CAcreateserial",
    "-days",
    "9",
    "-copy_extensions",
    "copyall",
    "-out",
    `${name}-leaf.crt`,
  );
}
const open = async (server: Server) => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trigon-install-"));
  authority("ours");
  authority("theirs");
  const tls = (name: string) => ({ key: file(`${name}-leaf.key`), cert: file(`${name}-leaf.crt`) });
  console_ = await open(
    createServer(tls("ours"), (incoming, outgoing) => {
      let body = "";
      incoming.on("data", (chunk) => (body += chunk));
      incoming.on("end", () => {
        if (incoming.url !== "/enroll/v1/progress") return outgoing.end("ok");
        told.push(JSON.parse(body));
        outgoing.writeHead(progress.status, { "content-type": "application/json" }).end(JSON.stringify(progress.body));
      });
    }),
  );
  agents = await open(createServer({ ...tls("ours"), requestCert: true, ca: file("ours.crt"), minVersion: "TLSv1.3" }));
  foreign = await open(createServer(tls("theirs"), (_incoming, outgoing) => void outgoing.end("ok")));
});
beforeEach(() => {
  told.length = 0;
  progress = { status: 200, body: { role: "realServer", name: null } };
});
afterAll(() => {
  for (const server of [console_, agents, foreign]) server.close();
  rmSync(folder, { recursive: true });
});

const sha256OfCa = () =>
  createHash("sha256")
    .update(new X509Certificate(file("ours.crt")).raw)
    .digest("hex");
const tokenFor = (caSha256: string) =>
  `trg1.${Buffer.from(JSON.stringify({ url: "https://localhost", id: "tok_1", secret: "s", caSha256 })).toString("base64url")}`;

interface How {
  consolePort?: number;
  agentPort?: number;
  token?: string;
  downloader?: "wget";
  /** Of a node that is upgraded: none is given. */
  isUpgrade?: boolean;
  args?: string[];
  edit?: (script: string) => string;
}

const dryRun = (options: How = {}) => runScript({ ...options, args: ["--dry-run", ...(options.args ?? [])] });

async function runScript(options: How) {
  let script = fillInstallScript(template, {
    VERSION: "1.2.3",
    CONSOLE_URL: `https://localhost:${options.consolePort ?? portOf(console_)}`,
    AGENT_URL: `https://localhost:${options.agentPort ?? portOf(agents)}`,
    BUNDLE_SHA256: "00",
    NODE_SHA256_X64: "11",
    NODE_SHA256_ARM64: "11",
    CA_PEM: file("ours.crt"),
    UNIT: "[Service]",
  });
  if (options.downloader === "wget") script = script.replace("command -v curl ", "command -v no-curl ");
  if (options.edit) script = options.edit(script);
  const what = options.isUpgrade ? ["--upgrade"] : ["--token", options.token ?? tokenFor(sha256OfCa())];
  const args = ["-s", "--", ...(options.args ?? []), "--no-service", ...what];
  const child = spawn("sh", args, {
    env: { ...process.env, TRIGON_STATE: join(folder, "state") },
  });
  let said = "";
  child.stdout.on("data", (chunk) => (said += chunk));
  child.stderr.on("data", (chunk) => (said += chunk));
  child.stdin.end(script);
  const status = await new Promise((resolve) => child.once("close", resolve));
  return { status, said };
}

test.each(["curl", "wget"] as const)(
  "with %s, a machine that is ready passes every check, and a dry run leaves nothing",
  async (downloader) => {
    const { status, said } = await dryRun(downloader === "wget" ? { downloader } : {});
    expect(said).toContain("✓ console");
    expect(said).toContain("✓ agent port");
    expect(said).toContain("for a real server");
    expect(said).toContain("dry run: nothing was changed");
    expect(status).toBe(0);
    expect(told).toMatchObject([{ stage: "preflight" }]);
    expect([existsSync("/opt/trigon"), existsSync(join(folder, "state"))]).toEqual([false, false]);
  },
);

test.each(["curl", "wget"] as const)(
  "with %s, a console or agent port of another authority is not trusted",
  async (downloader) => {
    const how = downloader === "wget" ? { downloader } : {};
    const impostor = await dryRun({ ...how, consolePort: portOf(foreign) });
    expect(impostor.said).toContain("certificate of another authority [15]");
    expect(impostor.status).toBe(15);
    const between = await dryRun({ ...how, agentPort: portOf(foreign) });
    expect(between.said).toMatch(/✗ agent port .*another authority \[15\]/);
    expect(between.status).toBe(15);
    expect(told.at(-1)).toMatchObject({ stage: "preflightFailed", message: expect.stringContaining("agent port") });
  },
);

test("a console that does not answer is told apart from one that lies", async () => {
  const { status, said } = await dryRun({ consolePort: 1 });
  expect(said).toContain("does not answer");
  expect(status).toBe(14);
});

test.each([
  ["token.used", "it was used already"],
  ["token.expired", "it has expired"],
  ["token.revoked", "it was revoked"],
  ["token.invalid", "the console does not know it"],
])("a token refused with %s stops before anything changes", async (code, words) => {
  progress = { status: 401, body: { code, detail: "x" } };
  const { status, said } = await dryRun();
  expect(said).toContain(words);
  expect(said).toContain("Nothing was changed");
  expect(status).toBe(17);
});

test("a token of another appliance is noticed before it is sent anywhere", async () => {
  const { status, said } = await dryRun({ token: tokenFor("ab".repeat(32)) });
  expect(said).toContain("another appliance");
  expect(status).toBe(15);
  expect(told).toEqual([]);
});

describe("an upgrade", () => {
  const identity = () => join(folder, "state/identity");
  function enrolled(authorityName: string) {
    mkdirSync(identity(), { recursive: true });
    writeFileSync(join(identity(), "enrollment.json"), JSON.stringify({ nodeId: "n_1", name: "web 1", role: "realServer" }));
    writeFileSync(join(identity(), "ca.pem"), file(`${authorityName}.crt`));
  }
  afterEach(() => rmSync(join(folder, "state"), { recursive: true, force: true }));

  test.each(["curl", "wget"] as const)("with %s needs no token, and tells the console nothing", async (downloader) => {
    enrolled("ours");
    const how = downloader === "wget" ? { downloader } : {};
    const { status, said } = await dryRun({ isUpgrade: true, ...how });
    expect(said).toContain("✓ console");
    expect(said).toMatch(/✓ identity +web 1, a real server/);
    expect(said).toContain("dry run: nothing was changed");
    expect(status).toBe(0);
    expect(told).toEqual([]);
  });

  test("of what is no node, or another appliance's, is refused", async () => {
    const stranger = await dryRun({ isUpgrade: true });
    expect(stranger.said).toContain("this machine is no node [17]");
    expect(stranger.status).toBe(17);
    enrolled("theirs");
    const foreign = await dryRun({ isUpgrade: true });
    expect(foreign.said).toContain("belongs to another appliance than this script [15]");
    expect(foreign.status).toBe(15);
    const named = await dryRun({ isUpgrade: true, args: ["--name", "other"] });
    expect(named.status).toBe(2);
  });
});

test("a director without ip_vs is told so, with what brings it", async (context) => {
  if (existsSync("/proc/net/ip_vs") || existsSync("/sys/module/ip_vs")) return context.skip("this kernel has ip_vs");
  progress = { status: 200, body: { role: "director", name: "dir1" } };
  const { status, said } = await dryRun();
  if (status === 0) return context.skip("this kernel can load ip_vs");
  expect(said).toMatch(/✗ kernel modules {3}ip_vs: not in Linux .* \[12\]\n {4}fix:/);
  expect(status).toBe(12);
  expect(told.at(-1)?.message).toContain("ip_vs");
});

/** A machine of Debian's kind, without keepalived: its package manager and its service manager write down what they are asked. */
function plainDebian({ apt = "", hasKeepalived = false }: { apt?: string; hasKeepalived?: boolean } = {}) {
  const machine = mkdtempSync(join(folder, "machine-"));
  const log = join(machine, "log");
  const program = (name: string, text: string) =>
    writeFileSync(join(machine, name), `#!/bin/sh\necho "${name} $*" >>${log}\n${text}\n`, { mode: 0o755 });
  const keepalived = join(machine, "trigon-test-keepalived");
  for (const name of ["modprobe", "iptables", "arping", "systemctl"]) program(name, "exit 0");
  program("apt-get", apt || `[ "$1" != install ] || { echo '#!/bin/sh' >${keepalived}; chmod +x ${keepalived}; }`);
  if (hasKeepalived) program("trigon-test-keepalived", "exit 0");
  const edit = (script: string) =>
    script
      .replace("PATH=/usr/local/sbin:", `PATH=${machine}:/usr/local/sbin:`)
      .replaceAll("command -v keepalived", "command -v trigon-test-keepalived")
      .replace("PREFIX=/opt/trigon", `PREFIX=${machine}/opt/trigon`);
  return { edit, asked: () => (existsSync(log) ? readFileSync(log, "utf8").split("\n") : []) };
}
const asDirector = () => {
  progress = { status: 200, body: { role: "director", name: "dir1" } };
};

test("a director's keepalived comes by apt-get after every check, and its own service never starts", async () => {
  asDirector();
  const { edit, asked } = plainDebian();
  const { status, said } = await runScript({ edit });
  expect(said).toMatch(/✓ keepalived +comes by apt-get/);
  expect(said).toMatch(/✓ keepalived +installed; its own service is off/);
  // Of this console there is no program to be had: it goes as far as the download.
  expect(status).toBe(31);
  expect(asked().filter((line) => /^(apt-get|systemctl)/.test(line))).toEqual([
    "systemctl mask --runtime keepalived.service",
    "apt-get install -y --no-install-recommends keepalived",
    "systemctl disable keepalived.service",
    "systemctl unmask --runtime keepalived.service",
  ]);
});

test("with --no-packages, or when apt-get fails, the line that brings keepalived is said, and the director joins without", async () => {
  asDirector();
  const refused = plainDebian();
  const { status, said } = await dryRun({ edit: refused.edit, args: ["--no-packages"] });
  expect(said).toMatch(/! keepalived +is missing: .* apt-get install -y --no-install-recommends keepalived/);
  expect(status).toBe(0);
  expect(refused.asked().join()).not.toContain("apt-get");

  const offline = plainDebian({ apt: "echo 'E: no such mirror' >&2; exit 100" });
  const failed = await runScript({ edit: offline.edit });
  expect(failed.said).toMatch(/! keepalived +could not be installed \(E: no such mirror\): .*apt-get install -y --no-install/);
  expect(failed.status).toBe(31);
  expect(offline.asked()).toContain("apt-get update");
  expect(offline.asked().join()).not.toContain("disable");
});

test("a keepalived that is here is left as it is, and a real server needs none", async () => {
  asDirector();
  const equipped = plainDebian({ hasKeepalived: true });
  expect((await dryRun({ edit: equipped.edit })).said).toMatch(/✓ keepalived +is here/);
  expect(equipped.asked().join()).not.toMatch(/apt-get|mask|disable/);
  progress = { status: 200, body: { role: "realServer", name: null } };
  expect((await dryRun({ edit: plainDebian().edit })).said).not.toContain("keepalived");
});
