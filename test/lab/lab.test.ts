import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  arpHolders,
  byteShare,
  capture,
  differences,
  fetchAnswers,
  Lab,
  runLoad,
  snapshot,
  startHttpd,
  startLoad,
  topologyFile,
  until,
  useRealFrames,
} from "@trigon/lab";
import { afterEach, describe, expect, test } from "vitest";
import { useLab } from "./use-lab.ts";

const lab = useLab();

describe("a lab host", () => {
  test("reaches hosts of its own and of other segments, and no more than routes say", async () => {
    expect(await fetchAnswers(lab.host("client"), "10.2.0.21:80")).toEqual([
      { server: "rs1", src: "10.1.0.10", dst: "10.2.0.21:80" },
    ]);
    expect(await fetchAnswers(lab.host("client"), "10.3.0.24:80")).toMatchObject([{ server: "rs4" }]);
    expect(await fetchAnswers(lab.host("client"), "10.4.0.25:8080", { timeoutSeconds: 1 })).toEqual([]);
  });

  test("is itself: name, machine id, hosts file, home, processes, boot id", async () => {
    const script =
      "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; cat /proc/1/comm; getent hosts controller; ls -A /root";
    const [one, two] = await Promise.all(["rs1", "rs2"].map(async (name) => (await lab.host(name).sh(script)).split("\n")));
    expect(one![0]).toBe("rs1");
    expect(two![0]).toBe("rs2");
    expect(one![1]).toMatch(/^[0-9a-f]{32}$/);
    expect(one![1]).not.toBe(two![1]);
    expect(one![2]).not.toBe(two![2]);
    expect(one![4]).toMatch(/^10\.255\.0\.1\s+controller$/);
    expect(one).toHaveLength(5);
    const pids = (await lab.host("rs1").sh("ls /proc | grep -c '^[0-9]'")).trim();
    expect(Number(pids)).toBeLessThan(10);
  });

  test("starts with a distribution's sysctls, and new interfaces get them too", async () => {
    const read = "cat /proc/sys/net/ipv4/conf/*/rp_filter | sort -u";
    expect(await lab.host("rs3").sh(read)).toBe("2");
    await lab.host("rs3").sh("ip link add trial type ipip local 10.2.0.23 remote 10.2.0.11");
    expect(await lab.host("rs3").sh("sysctl -n net.ipv4.conf.trial.rp_filter")).toBe("2");
    await lab.host("rs3").sh("ip link del trial");
  });

  test("keeps its files and sysctls to itself", async () => {
    const machine = () => [
      readFileSync("/etc/hosts", "utf8"),
      readFileSync("/proc/sys/net/ipv4/conf/all/log_martians", "utf8"),
      readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"),
      readFileSync("/proc/net/dev", "utf8").replace(/:.*/g, ""),
      existsSync("/lib/modules") ? readdirSync("/lib/modules") : [],
    ];
    const before = machine();
    const here = process.cwd();
    await lab
      .host("rs1")
      .sh(
        `echo trace > /etc/hosts; echo trace > ${here}/lab-trace; mkdir /opt/lab-trace; sysctl -qw net.ipv4.conf.all.log_martians=1 net.ipv4.ip_forward=1`,
      );
    expect(machine()).toEqual(before);
    for (const path of [join(here, "lab-trace"), "/opt/lab-trace"]) expect(existsSync(path)).toBe(false);
    expect(
      await lab
        .host("rs2")
        .sh(`ls ${here}/lab-trace /opt/lab-trace 2>/dev/null; sysctl -n net.ipv4.ip_forward`, { allowFailure: true }),
    ).toBe("0");
  });

  test("runs commands with input, codes, signals and large files", async () => {
    const host = lab.host("client");
    expect(await host.exec(["sh", "-c", "cat; echo oops >&2; exit 3"], { input: "hello" })).toEqual({
      code: 3,
      stdout: "hello",
      stderr: "oops\n",
    });
    expect((await host.exec(["no-such-program"])).code).toBe(127);
    await expect(host.sh("exit 4")).rejects.toThrow(/client: exit 4\nexit code 4/);
    await expect(host.exec(["sleep", "60"], { timeoutMs: 200 })).rejects.toThrow(/timed out/);
    const large = Buffer.alloc(8 << 20, "0123456789abcdef\n");
    await host.writeFile("/srv/lab/large", large, { mode: 0o600 });
    expect((await host.readFile("/srv/lab/large")).equals(large)).toBe(true);
    expect(await host.sh("stat -c '%a %s' /srv/lab/large")).toBe(`600 ${large.length}`);
    expect((await host.exec(["cat"], { input: large })).stdout.length).toBe(large.length);
    const child = await host.spawn(["sh", "-c", "echo up; exec sleep 60"]);
    expect(await host.sh(`readlink /proc/${await child.started}/ns/net`)).toBe(await host.sh("readlink /proc/self/ns/net"));
    expect(await child.kill(15)).toEqual({ code: 143, signal: 15 });
  });

  test("loses a command when its caller is killed", async () => {
    const caller = spawn(process.execPath, [
      "packages/lab/bin/lab.mjs",
      "exec",
      "--state",
      lab.state,
      "client",
      "--",
      "sleep",
      "1234",
    ]);
    const isThere = async () => (await lab.host("client").exec(["pgrep", "-f", "sleep 1234"])).code === 0;
    await until("the command to run", isThere);
    caller.kill("SIGKILL");
    await until("the command to be gone", async () => !(await isThere()));
  });

  test("can dial the machine's forwards as `controller`, and the machine its published ports", async () => {
    const greeter = createServer((socket) => socket.end("hello from the machine\n"));
    await new Promise<void>((done) => greeter.listen(0, "127.0.0.1", done));
    const { port } = greeter.address() as { port: number };
    const forward = await lab.forward(9443, { port });
    const greet = "exec 3<>/dev/tcp/controller/9443 && cat <&3";
    expect((await lab.host("rs4").exec(["bash", "-c", greet])).stdout).toBe("hello from the machine\n");
    await forward.close();
    expect((await lab.host("rs4").exec(["bash", "-c", greet])).code).not.toBe(0);
    greeter.close();
    const local = await lab.publish("rs2", 80);
    expect(await (await fetch(`http://127.0.0.1:${local}/`)).json()).toMatchObject({ server: "rs2" });
  });

  test("has a systemctl that runs, restarts and boots unit files", async () => {
    const host = lab.host("rs6");
    const unit =
      "[Service]\nExecStart=/bin/sh -c 'date +%%s%%N >> /srv/starts; exec sleep 1000'\nRestart=always\nRestartSec=50ms\n[Install]\nWantedBy=multi-user.target\n";
    await host.writeFile("/etc/systemd/system/sleeper.service", unit);
    await host.sh("systemctl daemon-reload && systemctl enable --now sleeper");
    expect(await host.sh("systemctl is-active sleeper; systemctl is-enabled sleeper")).toBe("active\nenabled");
    const first = await host.sh("systemctl show -p MainPID --value sleeper");
    await host.sh(`kill -9 ${first}`);
    const starts = async () => (await host.sh("wc -l < /srv/starts")).trim();
    await until("the restart", async () => (await starts()) === "2");
    await lab.rebuildHost("rs6");
    await until("the start at boot", async () => (await starts()) === "3");
    await host.sh("systemctl disable --now sleeper");
    expect(await host.sh("systemctl is-active sleeper; systemctl is-enabled sleeper", { allowFailure: true })).toBe(
      "inactive\ndisabled",
    );
    expect((await host.exec(["pgrep", "-f", "sleep 1000"])).code).toBe(1);
  });
});

test("rebuildHost keeps MAC addresses and disk, and loses addresses, sysctls, processes and the boot id", async () => {
  const host = lab.host("rs2");
  await host.sh(
    "ip addr add 10.2.0.200/32 dev lo; sysctl -qw net.ipv4.conf.all.arp_ignore=1; echo kept > /var/lib/kept; echo lost > /run/lost; echo kept > /root/kept",
  );
  const pid = await host.detach(["sleep", "1000"]);
  const identity = "cat /sys/class/net/eth0/address /etc/machine-id /var/lib/kept /root/kept";
  const before = await host.sh(identity);
  const bootId = await host.sh("cat /proc/sys/kernel/random/boot_id");
  await lab.rebuildHost("rs2");
  expect(await host.sh(identity)).toBe(before);
  expect(before.split("\n")[0]).toBe(host.mac("eth0"));
  expect(await host.sh("cat /proc/sys/kernel/random/boot_id")).not.toBe(bootId);
  expect(
    await host.sh("ip -br addr show lo; sysctl -n net.ipv4.conf.all.arp_ignore; ls /run/lost 2>&1; ip -br addr show eth0"),
  ).toMatch(/^lo .*127\.0\.0\.1\/8 ::1\/128 *\n0\nls: .*\neth0.*10\.2\.0\.22\/24/);
  expect((await host.exec(["test", "-e", `/proc/${pid}`])).code).toBe(1);
  await until(
    "its web server",
    async () => (await fetchAnswers(lab.host("client"), "10.2.0.22:80", { timeoutSeconds: 1 })).length === 1,
  );
});

describe("the kernel balances", () => {
  afterEach(async () => {
    for (const name of ["dir1", "rs1", "rs2", "rs3"]) await lab.rebuildHost(name);
  });

  test("DR typed by hand, and the tools see who answers ARP, where packets pass and what is left behind", async () => {
    const [client, router, director] = [lab.host("client"), lab.host("router"), lab.host("dir1")];
    const found = await snapshot(director);
    expect(differences(found, await snapshot(director))).toEqual([]);
    for (const name of ["rs1", "rs2", "rs3"]) await lab.host(name).sh("ip addr add 10.2.0.100/32 dev lo");
    await director.sh("ip addr add 10.2.0.100/32 dev eth0");
    await director.sh("ipvsadm -R", {
      input: ["-A -t 10.2.0.100:80 -s rr", ...[21, 22, 23].map((last) => `-a -t 10.2.0.100:80 -r 10.2.0.${last}:80 -g`), ""].join(
        "\n",
      ),
    });
    expect(await arpHolders(router, "eth1", "10.2.0.100")).toHaveLength(4);
    for (const name of ["rs1", "rs2", "rs3"]) {
      await lab.host(name).sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
    }
    expect(await arpHolders(router, "eth1", "10.2.0.100")).toEqual([director.mac("eth0")]);
    await router.sh("ip neigh flush all");
    const atDirector = await capture(director, "tcp port 80", "eth0");
    const answers = await fetchAnswers(client, "10.2.0.100:80", { count: 6 });
    expect(answers.map(({ server }) => server).sort()).toEqual(["rs1", "rs1", "rs2", "rs2", "rs3", "rs3"]);
    expect(new Set(answers.map(({ src, dst }) => `${src} ${dst}`))).toEqual(new Set(["10.1.0.10 10.2.0.100:80"]));
    const packets = await atDirector.stop();
    expect(packets.some(({ line }) => line.includes("10.1.0.10.") && line.includes("> 10.2.0.100.80"))).toBe(true);
    expect(packets.filter(({ line }) => line.includes("10.2.0.100.80 >"))).toEqual([]);
    await useRealFrames(lab);
    const mix = { client, director, target: "10.2.0.100:80", count: 10, requestBytes: 10_000, replyBytes: 90_000 };
    expect((await byteShare(mix)).share).toBeLessThan(0.2);
    const load = await runLoad(client, { targets: ["10.2.0.100:80"], seconds: 2, rate: 50, held: 3 });
    expect(load).toMatchObject({ failed: 0, heldFailed: 0 });
    expect(load.ok).toBeGreaterThan(80);
    const left = differences(found, await snapshot(director));
    expect(left).toContainEqual(expect.stringContaining("ipvs: new: -A -t 10.2.0.100:80 -s rr"));
    expect(left).toContainEqual(expect.stringContaining("10.2.0.100/32"));
    await director.sh("ipvsadm -C; ip addr del 10.2.0.100/32 dev eth0");
    expect(differences(found, await snapshot(director)).filter((line) => !line.includes("gso_max"))).toEqual([]);
  });

  test("and a load tells of a real server that dies under it", async () => {
    const load = await startLoad(lab.host("client"), { targets: ["10.2.0.21:80"], rate: 20, held: 1 });
    expect(load.failures).toEqual([]);
    await lab.rebuildHost("rs1");
    await until("a failure", () => load.failures.length > 0);
    const summary = await load.stop();
    expect(summary.failed + summary.heldFailed).toBe(summary.failures.length);
  });
});

test("startHttpd keeps a server that already listens, and starts one that does not", async () => {
  await startHttpd(lab, "rs3", "0.0.0.0:80");
  await startHttpd(lab, "rs3", "10.2.0.23:8081");
  expect(await fetchAnswers(lab.host("router"), "10.2.0.23:8081")).toMatchObject([{ server: "rs3", src: "10.2.0.1" }]);
});

test("a fresh namespace has its host's files and nothing of its network", async () => {
  const fresh = await lab.host("dir1").freshNamespace();
  expect(await fresh.sh("ip -br addr show up; ipvsadm -Sn; hostname")).toMatch(/^lo +UNKNOWN +127\.0\.0\.1\/8 ::1\/128 *\ndir1$/);
  await fresh.sh("ipvsadm -A -t 10.5.0.1:80");
  expect(await lab.host("dir1").sh("ipvsadm -Sn")).toBe("");
  await fresh.remove();
});

describe("labs come and go", () => {
  const namespaceOf = (pid: string) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`);
    } catch {
      return ""; // ended while we looked
    }
  };
  const processes = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  /** Processes whose command line names this folder. */
  const processesOf = (folder: string) =>
    processes().filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, "latin1").includes(folder);
      } catch {
        return false;
      }
    });

  test("two run at once with the same addresses, and neither sees the other", async () => {
    const state = mkdtempSync(join(tmpdir(), "lab-second-"));
    const second = await Lab.up({ state, topology: topologyFile("pair"), mem: "512M" });
    try {
      expect(await second.host("left").sh("hostname; ip -br -4 addr show mgmt0")).toMatch(/^left\nmgmt0.*10\.255\.0\.101\/24/);
      expect(await lab.host("client").sh("hostname; ip -br -4 addr show mgmt0")).toMatch(/^client\nmgmt0.*10\.255\.0\.101\/24/);
      expect(await fetchAnswers(second.host("left"), "10.9.0.2:80")).toMatchObject([{ server: "right" }]);
      await expect(Lab.up({ state, topology: topologyFile("pair") })).rejects.toThrow(/already runs/);
    } finally {
      await second.down();
    }
    expect(processesOf(state)).toEqual([]);
    await expect(Lab.attach(state)).rejects.toThrow(/no lab runs/);
    rmSync(state, { recursive: true });
  });

  test.skipIf(process.getuid?.() !== 0)("the machine's own kernel carries the same hosts and wires", async () => {
    const state = mkdtempSync(join(tmpdir(), "lab-native-"));
    const native = await Lab.up({ state, engine: "native", topology: topologyFile("pair") });
    try {
      expect(await fetchAnswers(native.host("left"), "10.9.0.2:80")).toMatchObject([{ server: "right" }]);
      expect(await native.host("left").sh("sysctl -n net.ipv4.conf.eth0.rp_filter; cat /sys/class/net/eth0/address")).toBe(
        `2\n${native.host("left").mac("eth0")}`,
      );
      await native.rebuildHost("right");
      await until("its web server", async () => (await fetchAnswers(native.host("left"), "10.9.0.2:80")).length === 1);
    } finally {
      await native.down();
    }
    expect(processesOf(state)).toEqual([]);
    expect(readFileSync("/proc/net/dev", "utf8")).not.toMatch(/br-mgmt|v0\.0/);
    rmSync(state, { recursive: true });
  });

  test("kill -9 of a lab's starter leaves no process and no namespace", async () => {
    const state = mkdtempSync(join(tmpdir(), "lab-killed-"));
    const starter = spawn(
      process.execPath,
      ["packages/lab/bin/lab.mjs", "up", "--state", state, "--topology", topologyFile("pair"), "--mem", "512M"],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let said = "";
    starter.stdout.on("data", (chunk) => {
      said += chunk;
    });
    await until("READY", () => said.includes("READY in"), { deadlineMs: 90_000 });
    const running = processesOf(state);
    const ours = new Set(running.map(namespaceOf).filter((name) => name !== namespaceOf("self")));
    expect(ours.size).toBe(1);
    starter.kill("SIGKILL");
    await until("its processes to be gone", () => processesOf(state).length === 0);
    await until("its namespace to be gone", () => !processes().some((pid) => ours.has(namespaceOf(pid))));
    rmSync(state, { recursive: true });
  });
});
