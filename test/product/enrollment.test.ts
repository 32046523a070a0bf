import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchAnswers, type LabHost, until } from "@trigon/lab";
import type { EnrollmentTokenCreated, EnrollmentTokenView, NodeView } from "@trigon/model";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { createService, enroll } from "../../infra/demo/world.ts";
import { allConnected, ipvsTable, retire, sql } from "./oracles.ts";
import { deleteAllServices, useWorld } from "./use-world.ts";

type Created = z.infer<typeof EnrollmentTokenCreated>;
const world = useWorld();
const undo: (() => unknown)[] = [];

/** A lab host that is no node: what runs there is a stranger's first contact. */
let stranger: LabHost;
beforeAll(() => {
  stranger = world.lab.host("client");
});
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

const newToken = (role = "realServer") => world.api.call<Created>("POST", "/enrollment-tokens", { role, name: "stranger" });
const stageOf = async (id: string) => {
  const { data } = await world.api.call<{ data: EnrollmentTokenView[] }>("GET", "/enrollment-tokens?limit=100");
  return data.find((token) => token.id === id)!;
};
const nodeCount = async () => Number((await sql<{ count: string }>(world.databaseUrl, "SELECT count(*) FROM node"))[0]!.count);
/** The line as the console shows it; lab hosts are root and have no sudo. */
const lineOf = (created: Created, more = "") => `${created.commands.curl.replace("sudo sh", "sh")}${more}`;
const run = (host: LabHost, line: string) => host.exec(["/bin/sh", "-c", line], { timeoutMs: 170_000 });

/** What an installation would leave behind. */
const traces = (host: LabHost) =>
  host.sh(
    "ls -d /opt/trigon /opt/.trigon* /var/lib/trigon /etc/trigon /usr/local/bin/trigon-agent /etc/systemd/system/trigon-agent* 2>/dev/null",
    { allowFailure: true },
  );

test("an impostor on first contact: curl refuses its key, and nothing of it is run", async () => {
  const created = await newToken();
  const nodes = await nodeCount();
  const impostor = world.lab.host("router");
  const port = new URL(world.consoleUrl).port;
  await impostor.sh(
    `mkdir -p /root/impostor && cd /root/impostor && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 \
       -keyout key.pem -out cert.pem -subj /CN=controller -addext subjectAltName=DNS:controller`,
  );
  await impostor.writeFile("/root/impostor/serve.py", impostorProgram);
  const serving = await impostor.spawn(["/usr/bin/python3", "/root/impostor/serve.py", port]);
  undo.push(() => serving.kill());
  const hosts = `${await stranger.readFile("/etc/hosts")}`;
  undo.push(() => stranger.writeFile("/etc/hosts", hosts));
  await stranger.writeFile("/etc/hosts", hosts.replace(/^\S+(\s+controller)$/m, `${impostor.management}$1`));

  // It is in place: whoever pins nothing would run its script.
  const careless = created.commands.curl.replace(/--pinnedpubkey '[^']*' /, "").replace(/ \|.*/, "");
  await until("the impostor's script", async () => (await run(stranger, careless)).stdout.includes("touch /root/owned"), {
    deadlineMs: 30_000,
    everyMs: 200,
  });
  const asked = `${await impostor.readFile("/root/impostor/requests")}`;

  const curl = await run(stranger, created.commands.curl.replace(/ \|.*/, ""));
  expect(curl).toMatchObject({ code: 90, stdout: "" }); // 90: the pinned public key did not match
  await run(stranger, lineOf(created));
  await expect(stranger.readFile("/root/owned")).rejects.toThrow();
  expect(await traces(stranger)).toBe("");
  expect(`${await impostor.readFile("/root/impostor/requests")}`).toBe(asked); // it was not even told the path
  expect(asked).not.toContain(created.token);
  expect(await nodeCount()).toBe(nodes);
  expect((await stageOf(created.id)).stage).toBe("created");
}, 180_000);

test.each(["expired", "revoked", "used", "invalid"] as const)(
  "a token that is %s is refused with its code, and nothing is installed",
  async (kind) => {
    const created = await newToken();
    const { api, databaseUrl } = world;
    let { token } = created;
    if (kind === "expired")
      await sql(databaseUrl, `UPDATE "enrollmentToken" SET "expiresAt" = now() - interval '1 second' WHERE id = $1`, [
        created.id,
      ]);
    if (kind === "revoked") await api.call("POST", `/enrollment-tokens/${created.id}/revoke`);
    if (kind === "used") await sql(databaseUrl, `UPDATE "enrollmentToken" SET "usedAt" = now() WHERE id = $1`, [created.id]);
    if (kind === "invalid") token = withOtherSecret(token);
    const nodes = await nodeCount();

    const answer = await api.send("POST", "/enroll/v1/progress", { token, stage: "preflight", message: "" });
    expect(answer).toMatchObject({ status: 401, body: { code: `token.${kind}` } });
    const installed = await run(stranger, lineOf(created).replace(created.token, token));
    expect(installed).toMatchObject({ code: 17, stderr: expect.stringContaining("Nothing was changed") });
    expect(await traces(stranger)).toBe("");
    expect(await nodeCount()).toBe(nodes);
  },
  180_000,
);

test("the line checks before it changes anything, joins without a service when asked, and is safe to run again", async () => {
  const { api, lab } = world;
  undo.push(() => lab.rebuildHost(stranger.name, { wipe: true }));
  const created = await newToken();
  const nodes = await nodeCount();
  const line = lineOf(created, " --no-service");

  const iptables = await stranger.sh("command -v iptables");
  await stranger.sh(`mv ${iptables} /root/iptables.away`);
  const checked = await run(stranger, line);
  expect(checked).toMatchObject({ code: 13, stderr: expect.stringContaining("missing: iptables") });
  expect(checked.stderr).toContain("Nothing was changed");
  expect(await traces(stranger)).toBe("");
  expect(await stageOf(created.id)).toMatchObject({
    stage: "preflightFailed",
    lastContact: { message: expect.stringContaining("iptables") },
  });
  expect(await nodeCount()).toBe(nodes);

  await stranger.sh(`mv /root/iptables.away ${iptables}`);
  expect(await run(stranger, line)).toMatchObject({ code: 0, stdout: expect.stringContaining("not started") });
  const node = JSON.parse(await stranger.sh("cat /var/lib/trigon/identity/enrollment.json")) as { nodeId: string };
  undo.push(() => retire(api, node.nodeId));
  expect(await traces(stranger)).not.toContain("systemd");
  expect(await stranger.sh("systemctl is-active trigon-agent", { allowFailure: true })).toBe("inactive");
  expect(await stageOf(created.id)).toMatchObject({ stage: "enrolled", nodeId: node.nodeId });

  const certificate = await stranger.sh("cat /var/lib/trigon/identity/cert.pem");
  const again = await run(stranger, line);
  expect(again).toMatchObject({ code: 0 });
  expect(JSON.parse(await stranger.sh("cat /var/lib/trigon/identity/enrollment.json"))).toEqual(node);
  expect(await stranger.sh("cat /var/lib/trigon/identity/cert.pem")).toBe(certificate);
  expect(await nodeCount()).toBe(nodes + 1);

  // With a service, the waiting row comes alive.
  expect(await run(stranger, lineOf(created))).toMatchObject({ code: 0 });
  await until("the row to come alive", async () => (await stageOf(created.id)).stage === "inSync", {
    deadlineMs: 60_000,
    everyMs: 200,
  });
  await stranger.sh("trigon-agent uninstall");
  expect(await api.call<NodeView>("GET", `/nodes/${node.nodeId}`)).toMatchObject({ state: "active" });
}, 600_000);

test("a revoked node is refused, and its traffic goes on", async () => {
  const { api, lab, agentUrl } = world;
  const rs3 = lab.host("rs3");
  const vip = "10.2.0.130";
  await createService(api, {
    name: "revoked",
    vip,
    port: 80,
    forwarding: "dr",
    scheduler: "rr",
    realServers: [{ rip: "10.2.0.23" }],
  });
  const identity = "/var/lib/trigon/identity";
  const asNode = async () => {
    const flags = `--cacert ${identity}/ca.pem --cert ${identity}/cert.pem --key ${identity}/key.pem`;
    const [status, ...body] = (await rs3.sh(`curl -sS ${flags} -w '\\n%{http_code}' ${agentUrl}/agent/v1/plan`))
      .split("\n")
      .reverse();
    return { status: Number(status), body: JSON.parse(body.reverse().join("\n")) as { code?: string } };
  };
  expect((await asNode()).status).toBe(200);
  const { nodeId } = JSON.parse(await rs3.sh(`cat ${identity}/enrollment.json`)) as { nodeId: string };
  undo.push(async () => {
    await deleteAllServices(api);
    await retire(api, nodeId);
    await lab.rebuildHost("rs3", { wipe: true });
    await enroll(world, "rs3", "realServer");
    await allConnected(api);
  });
  const before = [await ipvsTable(lab.host("dir1")), await rs3.sh("ip -4 -o addr show dev lo")];
  expect(before.join("\n")).toContain(vip);

  const { headers } = await api.send("GET", `/api/v1/nodes/${nodeId}`);
  await api.call("POST", `/nodes/${nodeId}/revoke`, undefined, { "if-match": headers.etag! });
  await until("403 for the revoked node", async () => (await asNode()).status === 403, { deadlineMs: 20_000, everyMs: 100 });
  expect((await asNode()).body.code).toBe("node.revoked");
  await until("its agent to know", async () => (await rs3.sh("trigon-agent status --json")).includes('"revoked"'), {
    deadlineMs: 90_000,
    everyMs: 500,
  });
  expect([await ipvsTable(lab.host("dir1")), await rs3.sh("ip -4 -o addr show dev lo")]).toEqual(before);
  const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 4 });
  expect(answers.map(({ server }) => server)).toEqual(["rs3", "rs3", "rs3", "rs3"]);
}, 600_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trigon-certificates-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the agent port talks to nobody without a certificate of the appliance's own CA", async () => {
  const rs1 = world.lab.host("rs1");
  const identity = "/var/lib/trigon/identity";
  const read = async (name: string) => `${await rs1.readFile(`${identity}/${name}.pem`)}`;
  const genuine = { cert: await read("cert"), key: await read("key") };
  expect((await knock(genuine)).status).toBe(200);

  const { nodeId } = JSON.parse(`${await rs1.readFile(`${identity}/enrollment.json`)}`) as { nodeId: string };
  writeFileSync(join(folder, "ca.pem"), readFileSync(world.caFile));
  const authority = openssl("x509", "-in", "ca.pem", "-noout", "-subject", "-nameopt", "compat").replace(/^subject=\s*/, "");
  const subject = `/${authority
    .split(/, ?|\//)
    .filter(Boolean)
    .join("/")
    .replaceAll(" = ", "=")}`;
  const refused = {
    "no certificate": {},
    "a self-signed one that names the node": forge("self", `/CN=${nodeId}`, nodeId),
    "one of a foreign CA": forge("foreign", "/CN=node", nodeId, "/CN=Some other CA"),
    "one of a CA that took our CA's name": forge("namesake", "/CN=node", nodeId, subject),
  };
  for (const [what, credentials] of Object.entries(refused)) {
    expect(await knock(credentials), what).toEqual({ status: 0, body: "" });
  }
  expect((await knock(genuine)).status).toBe(200);
});

/** One plan request to the agent port; status 0 when the connection was closed before any answer. */
function knock(credentials: { cert?: string; key?: string }): Promise<{ status: number; body: string }> {
  const { port } = new URL(world.agentUrl);
  return new Promise((resolve) => {
    const call = request(
      { host: "127.0.0.1", port, path: "/agent/v1/plan", ca: readFileSync(world.caFile), agent: false, ...credentials },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      },
    );
    call.on("error", () => resolve({ status: 0, body: "" }));
    call.end();
  });
}

const openssl = (...args: string[]) =>
  execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
    .toString()
    .trim();

/** A client certificate that names the node, by `openssl`: self-signed, or of a CA made up for it. */
function forge(name: string, subject: string, nodeId: string, issuer?: string): { cert: string; key: string } {
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  writeFileSync(join(folder, "leaf.cnf"), `subjectAltName=URI:trigon://node/${nodeId}\nextendedKeyUsage=clientAuth\n`);
  const extensions = ["-addext", `subjectAltName=URI:trigon://node/${nodeId}`, "-addext", "extendedKeyUsage=clientAuth"];
  if (issuer === undefined) {
    openssl("req", "-x509", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.pem`, "-subj", subject, ...extensions);
  } else {
    openssl("req", "-x509", ...newKey, "-keyout", `${name}-ca.key`, "-out", `${name}-ca.pem`, "-subj", issuer);
    openssl(
      "req",
      "-new",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
      "-subj",
      subject,
    );
    const signing = [
      "-CA",
      `${name}-ca.pem`,
      "-CAkey",
      `${name}-ca.key`,
      "-CAcreateserial",
      "-days",
      "1",
      "-extfile",
      "leaf.cnf",
    ];
    openssl("x509", "-req", "-in", `${name}.csr`, "-out", `${name}.pem`, ...signing);
  }
  return { cert: readFileSync(join(folder, `${name}.pem`), "utf8"), key: readFileSync(join(folder, `${name}.key`), "utf8") };
}

/** The same token with a secret that was never given out. */
function withOtherSecret(token: string): string {
  const content = JSON.parse(Buffer.from(token.slice("trg1.".length), "base64url").toString()) as Record<string, string>;
  const secret = `${content.secret!.slice(0, -1)}${content.secret!.endsWith("A") ? "B" : "A"}`;
  return `trg1.${Buffer.from(JSON.stringify({ ...content, secret })).toString("base64url")}`;
}

/** Writes down every request that it can read, and answers a script. */
const impostorProgram = `import http.server, ssl, sys
class Impostor(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("/root/impostor/requests", "a").write(self.path + "\\n")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"touch /root/owned\\n")
    def log_message(self, *words):
        pass
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass
server = Server(("0.0.0.0", int(sys.argv[1])), Impostor)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/impostor/cert.pem", "/root/impostor/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
`;
