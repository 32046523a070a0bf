import { fetchAnswers, startLoad, until } from "@trigon/lab";
import { HealthCheck, type HealthReport, HealthSpec } from "@trigon/model";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, ipvsTable, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const vip = "10.2.0.100";
const rips = { rs1: "10.2.0.21", rs2: "10.2.0.22", rs3: "10.2.0.23" } as const;
type Name = keyof typeof rips;
const names = Object.keys(rips) as Name[];
const timing = { intervalMs: 500, fastIntervalMs: 500, timeoutMs: 300, rise: 2, fall: 3 };
const http = { kind: "http", path: "/", body: '"server"' };
/** How long after its death a server may be sent clients: `fall × interval + timeout`. */
const boundMs = timing.fall * timing.intervalMs + timing.timeoutMs;

/** A DR service over three real servers, checked by HTTP unless `change` says otherwise. */
function checkedService(change: object = {}, more: object = {}) {
  const realServers = names.map((host) => ({ host, rip: rips[host] }));
  const fragments = fragmentsOf({ vip, forwarding: "dr", realServers });
  const check = HealthCheck.parse({ ...("kind" in change ? {} : http), ...timing, ...change });
  return { ...fragments, service: { ...fragments.service, health: { ...HealthSpec.parse({}), ...more, check } } };
}

describe("health checks on a director", { timeout: 240_000 }, () => {
  const lab = useLab();
  const dir1 = () => lab.host("dir1");
  let agent = 0;

  beforeAll(async () => {
    const dr = checkedService();
    await installAgent(dir1(), ...names.map((name) => lab.host(name)));
    await Promise.all(names.map((name) => applyPlan(lab.host(name), [dr.realServer(name)])));
    agent = await startAgentWith(dr);
  }, 240_000);

  async function startAgentWith(dr: ReturnType<typeof checkedService>): Promise<number> {
    await applyPlan(dir1(), [dr.service, dr.vip]);
    return startAgent(dir1());
  }

  /** The running agent checks in another way from now on. */
  async function checkAs(change: object, more: object = {}): Promise<void> {
    const dr = checkedService(change, more);
    await applyPlan(dir1(), [dr.service, dr.vip]);
  }

  /** `rs1=1 rs2=0 rs3=1`, by ipvsadm; a server that is not there is left out. */
  async function weights(): Promise<string> {
    const lines = (await ipvsTable(dir1())).filter((line) => line.startsWith(`-a -t ${vip}:80 `));
    return names
      .flatMap((name) => {
        const line = lines.find((text) => text.includes(` -r ${rips[name]}:80 `));
        return line ? [`${name}=${/-w (\d+)/.exec(line)?.[1]}`] : [];
      })
      .join(" ");
  }
  const becomes = (expected: string, deadlineMs = 30_000) =>
    until(`the weights to be ${expected}`, async () => (await weights()) === expected, { deadlineMs, everyMs: 50 });
  const allServe = "rs1=1 rs2=1 rs3=1";
  const without = (gone: Name) => names.map((name) => `${name}=${name === gone ? 0 : 1}`).join(" ");

  const httpdOf = async (name: Name) => (await lab.host(name).sh("pgrep -f httpd.py")).split("\n")[0]!;
  /** The lab's web server again, as the lab starts it. */
  const startHttpdAgain = (name: Name, command: string[]) => lab.host(name).detach(command, { log: "/run/httpd-again.log" });

  /** Says what a real server does to packets for its own address; the VIP's are left alone. */
  async function filter(name: Name, ...rule: string[]): Promise<void> {
    await lab.host(name).sh(`iptables-legacy -I INPUT -d ${rips[name]} -p tcp --dport 80 ${rule.join(" ")}`);
  }
  async function heal(...which: Name[]): Promise<void> {
    await Promise.all(
      which.map((name) => lab.host(name).sh("iptables-legacy -D INPUT 1; tc qdisc del dev eth0 root", { allowFailure: true })),
    );
  }
  afterEach(() => heal(...names));

  test("a killed server costs clients nothing after fall × interval + timeout, and is back when it is", async () => {
    await becomes(allServe);
    const pid = await httpdOf("rs2");
    const command = (await lab.host("rs2").readFile(`/proc/${pid}/cmdline`)).toString().split("\0").filter(Boolean);
    const load = await startLoad(lab.host("client"), { targets: [`${vip}:80`], rate: 100 });
    const killedAt = Number(await lab.host("rs2").sh(`date +%s.%N; kill -9 ${pid}`));
    await becomes(without("rs2"));
    const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 8 });
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs1", "rs3"]);
    const { ok, failed, failures, servers } = await load.stop();
    const lastMs = Math.round(Math.max(0, ...failures.map(({ start }) => start - killedAt)) * 1000);
    console.log(
      `killed rs2: ${ok} answered, ${failed} failed, the last ${lastMs} ms after the kill (bound ${boundMs} ms)`,
      servers,
    );
    expect(failed).toBeGreaterThan(0);
    expect(failures.every(({ start }) => start >= killedAt - 0.1)).toBe(true);
    expect(lastMs).toBeLessThanOrEqual(boundMs);
    expect(answers).toHaveLength(8);

    await startHttpdAgain("rs2", command);
    await becomes(allServe);
    const again = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 6 });
    expect([...new Set(again.map(({ server }) => server))].sort()).toEqual(names);
  });

  test.each([
    ["black hole", "rs1", ["-j", "DROP"]],
    ["reset", "rs3", ["-j", "REJECT", "--reject-with", "tcp-reset"]],
    ["half-open port", "rs1", ["!", "--syn", "-j", "DROP"]],
  ] as const)("%s: out, and back when it is over", async (_fault, name, rule) => {
    await becomes(allServe);
    await filter(name, ...rule);
    await becomes(without(name));
    await heal(name);
    await becomes(allServe, 60_000);
  });

  test("answers later than the timeout: out, and back when they are quicker", async () => {
    await becomes(allServe);
    await lab.host("rs3").sh("tc qdisc add dev eth0 root netem delay 500ms");
    await becomes(without("rs3"));
    await heal("rs3");
    await becomes(allServe, 60_000);
  });

  test("the check network is down while traffic is fine: everybody serves, and no client notices", async () => {
    await becomes(allServe);
    const load = await startLoad(lab.host("client"), { targets: [`${vip}:80`], rate: 100, held: 6 });
    await Promise.all(names.map((name) => filter(name, "-j", "DROP")));
    const mode = async () => (await health())?.services[0]?.mode;
    await until("the service to fail open", async () => (await mode()) === "failOpen", { deadlineMs: 30_000, everyMs: 50 });
    await becomes(allServe);
    const { ok, failed, heldFailed } = await load.stop();
    console.log(`all checks fail: ${ok} answered, ${failed} failed, ${heldFailed} held connections lost`);
    expect({ failed, heldFailed }).toEqual({ failed: 0, heldFailed: 0 });
    expect(ok).toBeGreaterThan(100);
    await heal(...names);
    await until("the checks to count again", async () => (await mode()) === "normal", { deadlineMs: 60_000, everyMs: 50 });
    await becomes(allServe, 60_000);
  });

  test("a down verdict outlives kill -9 of the agent: the first pass weighs 0, long before checks could tell", async () => {
    await dir1().sh(`kill -9 ${agent}`);
    // Asked so rarely that only the remembered verdict can be the reason.
    const slow = { intervalMs: 20_000, fastIntervalMs: 20_000 };
    agent = await startAgentWith(checkedService());
    await filter("rs2", "-j", "DROP");
    await becomes(without("rs2"));
    await until("the verdict to be on the disk", async () =>
      (await dir1().sh("cat /var/lib/trigon/health.json")).includes('"down"'),
    );
    await dir1().sh(`kill -9 ${agent}`);
    await dir1().sh(`ipvsadm -e -t ${vip}:80 -r ${rips.rs2}:80 -g -w 7`);
    const began = Date.now();
    agent = await startAgentWith(checkedService(slow));
    await becomes(without("rs2"), 15_000);
    console.log(`after the restart the dead server was out within ${Date.now() - began} ms`);
    expect(Date.now() - began).toBeLessThan(2 * slow.intervalMs);
  });

  test("a server that flaps every second is kept out for longer and longer", async () => {
    await checkAs({
      kind: "tcp",
      intervalMs: 200,
      fastIntervalMs: 200,
      timeoutMs: 150,
      fall: 2,
    });
    await becomes(allServe, 60_000);
    const drop = `iptables-legacy -I INPUT -d ${rips.rs3} -p tcp --dport 80 -j DROP`;
    const flap = `for i in 1 2 3 4 5 6 7 8 9 10; do ${drop}; sleep 1; iptables-legacy -D INPUT 1; sleep 1; done; echo over > /run/flapped`;
    await lab.host("rs3").detach(["/bin/sh", "-c", flap], { log: "/run/flap.log" });
    const seen: string[] = [];
    const times: string[] = [];
    const began = performance.now();
    const isOver = async () => {
      const now = await weights();
      if (seen.at(-1) !== now) {
        seen.push(now);
        times.push(`${((performance.now() - began) / 1000).toFixed(1)} s ${now}`);
      }
      return (await lab.host("rs3").sh("cat /run/flapped", { allowFailure: true })) === "over";
    };
    await until("the flapping to end", isOver, { deadlineMs: 60_000, everyMs: 100 });
    const outages = seen.filter((one) => one === without("rs3")).length;
    console.log(`flapping: 10 times down, ${outages} times taken out`, times);
    expect(outages).toBeGreaterThan(0);
    expect(outages).toBeLessThanOrEqual(6); // undamped, it would be each of the ten times
    expect(new Set(seen)).toEqual(new Set([allServe, without("rs3")]));
    await becomes(allServe, 60_000);
  });

  test("30 % loss: a patient check keeps the server, an impatient one takes it out", async () => {
    await checkAs({ ...http, intervalMs: 4000, fastIntervalMs: 4000, timeoutMs: 4000, fall: 4 });
    await becomes(allServe, 60_000);
    await lab.host("rs1").sh("tc qdisc add dev eth0 root netem loss 30%");
    const deadline = Date.now() + 17_000;
    while (Date.now() < deadline) expect(await weights()).toBe(allServe);
    await checkAs({ ...http, intervalMs: 200, fastIntervalMs: 200, timeoutMs: 100, fall: 2 });
    await becomes(without("rs1"), 60_000);
    await heal("rs1");
    await becomes(allServe, 120_000);
  });

  test("a body that comes too slowly fails everybody: out without fail-open, and in with it", async () => {
    await checkAs({ ...http, path: "/slow/100/1000" }, { failOpen: false });
    await becomes("rs1=0 rs2=0 rs3=0");
    await checkAs({ ...http, path: "/slow/100/1000" }, { failOpen: true });
    await becomes(allServe);
    await checkAs(http);
    await becomes(allServe, 60_000);
  });

  test("the sorry server serves while nobody else can, and only then", async () => {
    // rs4 is on another subnet: full NAT reaches it with nothing prepared there.
    const sorryServer = { rip: "10.3.0.24", port: 80, forwarding: "fullnat" };
    const sorry = async () => (await ipvsTable(dir1())).filter((line) => line.includes(" -r 10.3.0.24:80 "));
    await checkAs({ ...http }, { sorryServer, onFailure: "remove" });
    await becomes(allServe);
    expect(await sorry()).toEqual([]);
    await Promise.all(names.map((name) => filter(name, "-j", "DROP")));
    await becomes("");
    await until("the sorry server", async () => (await sorry()).length === 1, { deadlineMs: 10_000 });
    const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 4 });
    expect(answers.map(({ server }) => server)).toEqual(["rs4", "rs4", "rs4", "rs4"]);
    await heal(...names);
    await becomes(allServe, 120_000);
    expect(await sorry()).toEqual([]);
  });

  test.each([
    ["untrusted", "rs1", 8443],
    ["misnamed", "rs2", 8444],
    ["expired", "rs3", 8445],
  ] as const)("a certificate that is %s: out where it is verified, and not where it is not", async (fault, name, port) => {
    const certificates = await madeCertificates();
    for (const host of names) {
      const own = host === name ? fault : "good";
      for (const file of [`${own}.key`, `${own}.pem`]) await lab.host(host).writeFile(`/run/${file}`, certificates.get(file)!);
      const server = ["openssl", "s_server", "-www", "-quiet", "-accept", `${port}`];
      await lab
        .host(host)
        .detach([...server, "-cert", `/run/${own}.pem`, "-key", `/run/${own}.key`], { log: `/run/${port}.log` });
    }
    const ca = `${certificates.get("ca.pem")}`;
    const check = { kind: "https", port, sni: "shop.example", ca, intervalMs: 600, fastIntervalMs: 600, timeoutMs: 550 };
    await checkAs({ ...check, kind: "tls", verify: true });
    await becomes(without(name), 60_000);
    await checkAs({ ...check, verify: false });
    await becomes(allServe, 60_000);
    await checkAs({ ...check, verify: true });
    await becomes(without(name), 60_000);
    const found = (await health())?.services[0]?.realServers.find(({ realServerId }) => realServerId === `rs_${name}`);
    const messages = { untrusted: /not trusted/, misnamed: /not for shop\.example/, expired: /has expired/ };
    expect(found).toMatchObject({
      verdict: "down",
      isOut: true,
      reason: "certificate",
      message: expect.stringMatching(messages[fault]),
    });
  });

  let certificates: Map<string, Buffer> | undefined;
  /** Certificates of one authority by file name: a good one for shop.example, and one for each way to be wrong. */
  async function madeCertificates(): Promise<Map<string, Buffer>> {
    if (certificates) return certificates;
    await lab.host("rs1").sh(
      `mkdir /run/certificates && cd /run/certificates
      printf '%s\\n' '[ca]' 'default_ca=own' '[own]' 'database=index.txt' 'new_certs_dir=.' 'rand_serial=yes' 'default_md=sha256' \
        'unique_subject=no' 'policy=any' 'copy_extensions=copy' '[any]' 'commonName=supplied' > ca.cnf
      : > index.txt
      make() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "$@"; }
      for_host() { host=$1; shift; make -subj /CN=$host -addext subjectAltName=DNS:$host "$@"; }
      sign() { openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in $1.csr -out $1.pem -startdate $2 -enddate $3; }
      make -x509 -days 9 -subj /CN=authority -keyout ca.key -out ca.pem
      for_host shop.example -x509 -days 9 -keyout untrusted.key -out untrusted.pem
      for_host shop.example -keyout good.key -out good.csr; sign good 20200101000000Z 20990101000000Z
      for_host other.example -keyout misnamed.key -out misnamed.csr; sign misnamed 20200101000000Z 20990101000000Z
      for_host shop.example -keyout expired.key -out expired.csr; sign expired 20200101000000Z 20200201000000Z`,
      { timeoutMs: 60_000 },
    );
    const files = ["ca.pem", ...["good", "untrusted", "misnamed", "expired"].flatMap((one) => [`${one}.key`, `${one}.pem`])];
    const read = files.map(async (file) => [file, await lab.host("rs1").readFile(`/run/certificates/${file}`)] as const);
    certificates = new Map(await Promise.all(read));
    return certificates;
  }

  /** What the agent itself says. */
  async function health(): Promise<{ services: HealthReport[] } | undefined> {
    const answer = await dir1().sh("curl -s -X POST --unix-socket /var/lib/trigon/agent.sock http://agent/status", {
      allowFailure: true,
    });
    return answer === "" ? undefined : JSON.parse(answer).health;
  }
});
