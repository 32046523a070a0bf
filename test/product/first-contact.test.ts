import { until } from "@trigon/lab";
import type { EnrollmentTokenCreated, EnrollmentTokenView } from "@trigon/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { useWorld } from "./use-world.ts";

type Created = z.infer<typeof EnrollmentTokenCreated>;

/** Answers every request with a script that marks the machine it runs on, over TLS with a certificate it made for the console's name. */
const impostor = (port: string) => `
import http.server, ssl
class Evil(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"touch /run/owned\\n"
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *words): open("/run/impostor.log", "a").write(self.requestline + "\\n")
server = http.server.ThreadingHTTPServer(("0.0.0.0", ${port}), Evil)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/evil.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
open("/run/impostor.log", "w")
server.serve_forever()
`;

describe("first contact with an impostor who has taken the console's name and address", () => {
  const world = useWorld();
  // The client plays the impostor, and the router is the machine to be enrolled: neither is a node of the demo.
  const evil = () => world.lab.host("client");
  const target = () => world.lab.host("router");
  let pid: number;
  let hosts: string;

  beforeAll(async () => {
    const certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    await evil().sh(
      `${certificate} -subj /CN=controller -addext subjectAltName=DNS:controller -keyout /run/evil.key -out /run/evil.crt`,
    );
    await evil().sh("cat /run/evil.key /run/evil.crt > /run/evil.pem");
    const { commands } = await newToken();
    await evil().writeFile("/run/impostor.py", impostor(new URL(urlIn(commands.curl)).port));
    pid = await evil().detach(["python3", "/run/impostor.py"], { log: "/run/impostor.out" });
    await until("the impostor to listen", async () => (await evil().exec(["test", "-e", "/run/impostor.log"])).code === 0);
    hosts = (await target().readFile("/etc/hosts")).toString();
    const others = hosts.split("\n").filter((line) => !/\bcontroller\b/.test(line));
    await target().writeFile("/etc/hosts", `${others.join("\n")}\n10.1.0.10 controller\n`);
  });
  afterAll(async () => {
    if (hosts !== undefined) await target().writeFile("/etc/hosts", hosts);
    if (pid !== undefined) await evil().exec(["kill", String(pid)]);
  });

  const newToken = () => world.api.call<Created>("POST", "/enrollment-tokens", { role: "realServer", name: "router" });
  const urlIn = (command: string) => /'(https:[^']+)'/.exec(command)![1]!;
  const isOwned = async () => (await target().exec(["test", "-e", "/run/owned"])).code === 0;
  const heard = async () => (await evil().readFile("/run/impostor.log")).toString();

  test.each(["curl", "wget"] as const)(
    "the %s line runs nothing of his, tells him nothing, and spends no token",
    async (tool) => {
      const { id, commands } = await newToken();
      await target().sh(commands[tool].replace("sudo sh", "sh"), { allowFailure: true, timeoutMs: 60_000 });
      expect(await isOwned()).toBe(false);
      expect(await heard()).toBe("");
      const { data } = await world.api.call<{ data: EnrollmentTokenView[] }>("GET", "/enrollment-tokens");
      expect(data.find((one) => one.id === id)).toMatchObject({ stage: "created", usedAt: null });
    },
  );

  test("he is no straw man: the same line without its pin runs what he sends", async () => {
    const { commands } = await newToken();
    await target().sh(commands.curl.replace(/--pinnedpubkey '[^']+'/, "").replace("sudo sh", "sh"), { timeoutMs: 60_000 });
    expect(await isOwned()).toBe(true);
    await target().sh("rm /run/owned");
  });
});
