import { closeSync, constants, existsSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { keepalivedPid, type VrrpFiles, vrrpFiles } from "@trigon/kernel";
import {
  type DirectorGroupFragment,
  type DirectorServiceFragment,
  type GroupFinding,
  type GroupReport,
  type GroupRole,
  resourceKey,
  type VrrpResource,
} from "@trigon/model";
import type { Kernel } from "@trigon/reconciler";
import type { HealthChecks } from "../health/checks.ts";
import { type Log, reasonOf } from "../log.ts";
import type { NodeLoop } from "../loop.ts";
import { sinceBoot } from "../state/boot-clock.ts";
import { parseNotice, trackValue } from "./standing.ts";

export const groupTimes = {
  /** How often it is seen whether keepalived runs and services stand. */
  watchMs: 200,
  /** How often the agent says that it lives, and everything is judged anew. */
  beatMs: 1_000,
  /** So long who was asked for wants the VIPs more than their former holder, which may not know yet. */
  askedMs: 5_000,
  /** How often a master asks who else holds its VIPs. */
  rivalsMs: 10_000,
  /** So long after its kernel began to take in connections a standby knows those that are in use: peers tell each anew every 10 s, gathered for 2 s. */
  catchUpMs: 12_000,
};

const mostTransitions = 20;

interface Member {
  role: GroupRole;
  since: string;
  transitions: GroupReport["transitions"];
  preferredGeneration: number | null;
}

/** Since when the kernel takes in connections from the peers: milliseconds since the boot that is meant. */
interface Intake {
  bootId: string;
  since: number;
}

type GroupLoop = Pick<NodeLoop, "fragments" | "states" | "desired" | "seen" | "reached" | "lookAgain" | "groupEvent">;

export interface GroupsOptions {
  loop: GroupLoop;
  kernel: Pick<Kernel, "observe" | "otherHolders" | "facts">;
  health: Pick<HealthChecks, "report">;
  /** Of the keepalived of our own. */
  directory: string;
  onChange(): void;
  log: Log;
}

/**
 * This director's part in groups in mode `vrrp`, beside what the loop keeps: it follows roles as keepalived says them, tells keepalived how much
 * this member wants the VIPs, and says that the agent lives. Nothing of it is needed for the VIPs to be held: that goes on without the agent.
 */
export class Groups {
  readonly #options: GroupsOptions;
  readonly #files: VrrpFiles;
  readonly #times: typeof groupTimes;
  readonly #members: Map<string, Member>;
  readonly #masterSince = new Map<string, number>();
  readonly #rivals = new Map<string, GroupFinding>();
  readonly #missing = new Set<string>();
  #intake: Intake | null;
  #bootId: string | undefined;
  #latest: GroupReport[] | null = null;
  #latestText = "";
  #notices: { socket: Socket; inode: number } | undefined;
  #timers: NodeJS.Timeout[] = [];
  #isWatching = false;

  constructor(options: GroupsOptions, times = groupTimes) {
    this.#options = options;
    this.#times = times;
    this.#files = vrrpFiles(options.directory);
    this.#members = new Map(Object.entries(readKept<Record<string, Member>>(this.#rolesFile) ?? {}));
    this.#intake = readKept<Intake>(this.#intakeFile) ?? null;
  }

  /** What reports say of it; the same object until something changes. Null: there never was a group. */
  get latest(): readonly GroupReport[] | null {
    return this.#latest;
  }

  start(): void {
    const { watchMs, beatMs, rivalsMs } = this.#times;
    const every = (ms: number, work: () => void | Promise<void>) => {
      const guarded = () =>
        void (async () => work())().catch((error: unknown) =>
          this.#options.log.warn("Groups could not be looked at", { reason: reasonOf(error) }),
        );
      this.#timers.push(setInterval(guarded, ms));
    };
    every(watchMs, () => this.#watch());
    every(beatMs, () => this.#judge());
    every(rivalsMs, () => this.#askForRivals());
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#notices?.socket.destroy();
  }

  get #rolesFile(): string {
    return `${this.#options.directory}/roles.json`;
  }

  get #intakeFile(): string {
    return `${this.#options.directory}/intake.json`;
  }

  #fragments(): DirectorGroupFragment[] {
    return [...this.#options.loop.fragments.values()].filter((fragment) => fragment.kind === "director.group");
  }

  #servicesOf({ vips }: DirectorGroupFragment): DirectorServiceFragment[] {
    return [...this.#options.loop.fragments.values()].filter(
      (fragment): fragment is DirectorServiceFragment => fragment.kind === "director.service" && vips.includes(fragment.vip),
    );
  }

  /** A killed keepalived and an emptied table are put right, sooner than the sweep would find them. */
  async #watch(): Promise<void> {
    const groups = this.#fragments();
    if (groups.length === 0 || this.#isWatching) return;
    this.#isWatching = true;
    try {
      this.#listen();
      await this.#followIntake();
      const { loop, kernel } = this.#options;
      // What a pass has seen to be missing is tried again by the loop, and not so often.
      const look = (keys: string[]) => loop.lookAgain(keys.filter((key) => loop.seen.has(key)));
      if (keepalivedPid(this.#files) === undefined) {
        // What was held is the peer's now: the next keepalived must not want it back for that.
        for (const { groupId } of groups) if (this.#members.has(groupId)) this.#become(groupId, "unknown");
        this.#judge();
        look(groups.map(({ groupId }) => resourceKey.vrrp(groupId)));
      }
      for (const group of groups) {
        const first = this.#servicesOf(group)[0];
        if (!first) continue;
        const key = resourceKey.ipvsService(first.protocol, first.vip, first.port);
        const isMissing = loop.desired.get(key) !== undefined && !(await kernel.observe([key])).has(key);
        if (isMissing)
          look(this.#servicesOf(group).flatMap(({ id }) => loop.desired.fragment(id)?.resources.map((one) => one.key) ?? []));
        if (isMissing === this.#missing.has(group.groupId)) continue;
        if (isMissing) this.#missing.add(group.groupId);
        else this.#missing.delete(group.groupId);
        this.#judge();
      }
    } finally {
      this.#isWatching = false;
    }
  }

  /** The kernel does not say since when its daemon runs, and the agent may have been started anew meanwhile. */
  async #followIntake(): Promise<void> {
    const { kernel, directory } = this.#options;
    const key = resourceKey.syncDaemon("backup");
    const isRunning = (await kernel.observe([key])).has(key);
    this.#bootId ??= (await kernel.facts()).bootId;
    const isKnown = this.#intake?.bootId === this.#bootId;
    if (isRunning === (isKnown && this.#intake !== null)) return;
    this.#intake = isRunning ? { bootId: this.#bootId, since: sinceBoot() } : null;
    if (existsSync(directory)) replace(this.#intakeFile, JSON.stringify(this.#intake));
    this.#judge();
  }

  /**
   * Whether this member knows the connections that go on elsewhere. The kernel tells a newcomer nothing of what is there already: it hears of a
   * connection with its next packet. Who holds the VIPs has the connections itself.
   */
  #hasCaughtUp({ groupId, others }: DirectorGroupFragment): boolean {
    if (others.length === 0 || this.#members.get(groupId)?.role === "master") return true;
    const { catchUpMs } = this.#times;
    return this.#intake !== null && sinceBoot() - this.#intake.since >= catchUpMs;
  }

  /** Keepalived takes its FIFO along when it ends, and makes another. */
  #listen(): void {
    const { notify } = this.#files;
    if (!existsSync(notify)) return;
    const { ino } = statSync(notify);
    if (this.#notices?.inode === ino) return;
    this.#notices?.socket.destroy();
    // Read and write: it then has no end while keepalived is away.
    const fd = openSync(notify, constants.O_RDWR | constants.O_NONBLOCK);
    let socket: Socket;
    try {
      socket = new Socket({ fd, readable: true, writable: false });
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    this.#notices = { socket, inode: ino };
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("error", () => {
      if (this.#notices?.socket === socket) this.#notices = undefined;
    });
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const notice = parseNotice(line);
        if (notice) this.#become(notice.groupId, notice.role);
      }
      this.#judge();
    });
    socket.unref();
  }

  #become(groupId: string, role: GroupRole): void {
    const before = this.#members.get(groupId);
    if (before?.role === role) return;
    const at = new Date().toISOString();
    const transitions = [...(before?.transitions ?? []), { at, role }].slice(-mostTransitions);
    this.#members.set(groupId, { role, since: at, transitions, preferredGeneration: before?.preferredGeneration ?? null });
    if (role === "master") this.#masterSince.set(groupId, sinceBoot());
    else this.#rivals.delete(groupId);
    const name = this.#fragments().find((group) => group.groupId === groupId)?.name ?? groupId;
    this.#options.loop.groupEvent(groupId, `This director is ${role} of "${name}" (was ${before?.role ?? "unknown"})`);
  }

  /** Beats, and says anew how much this member wants the VIPs of each group. */
  #judge(): void {
    const groups = this.#fragments();
    if (groups.length === 0 && this.#members.size === 0) return;
    const ids = new Set(groups.map(({ groupId }) => groupId));
    for (const id of this.#members.keys()) if (!ids.has(id)) this.#members.delete(id);
    if (existsSync(this.#files.trackDirectory)) {
      replace(this.#files.heartbeat, `${Math.floor(sinceBoot() / 1000)}\n`);
      for (const group of groups) this.#want(group);
    }
    this.#tell(groups);
  }

  #want(group: DirectorGroupFragment): void {
    const { groupId, preempt, preferred, others } = group;
    this.#compareWithKernel(groupId);
    const member = this.#members.get(groupId);
    const role = member?.role ?? "unknown";
    const isMine = preferred !== null && !others.some(({ nodeId }) => nodeId === preferred.nodeId);
    if (member && preferred && role === (isMine ? "master" : "backup")) member.preferredGeneration = preferred.generation;
    const isDone = preferred === null || (member?.preferredGeneration ?? -1) >= preferred.generation;
    const isFresh = role === "master" && sinceBoot() - (this.#masterSince.get(groupId) ?? 0) < this.#times.askedMs;
    const value = trackValue({
      ...{ role, preempt, isReady: this.#isReady(group), isCutOff: this.#isCutOff(group) },
      isAsked: isMine && (!isDone || isFresh),
    });
    const path = `${this.#files.trackDirectory}/${groupId}`;
    const text = `${value}\n`;
    // Whoever starts keepalived writes there, too.
    if (!existsSync(path) || readFileSync(path, "utf8") !== text) replace(path, text);
  }

  /** After a start of the agent nobody has said anything yet: who is master has VRRP's own address bound. */
  #compareWithKernel(groupId: string): void {
    if (this.#members.get(groupId) && this.#notices) return;
    if (keepalivedPid(this.#files) === undefined) return;
    this.#become(groupId, this.#holds(groupId) ? "master" : "backup");
  }

  #holds(groupId: string): boolean {
    const vrrp = this.#options.loop.desired.get(resourceKey.vrrp(groupId)) as VrrpResource | undefined;
    if (!vrrp) return false;
    const bound = new Set(Object.values(networkInterfaces()).flatMap((own) => (own ?? []).map(({ address }) => address)));
    return vrrp.vips.length > 0 && vrrp.vips.every(({ address }) => bound.has(address));
  }

  /** Whether every service stands here as it is planned. */
  #isReady(group: DirectorGroupFragment): boolean {
    const { loop } = this.#options;
    if (loop.reached === null || this.#missing.has(group.groupId)) return false;
    if (!this.#hasCaughtUp(group)) return false;
    return this.#servicesOf(group).every(({ id, hash }) => {
      const state = loop.states.get(id);
      return state?.state === "applied" && state.hash === hash;
    });
  }

  #isCutOff(group: DirectorGroupFragment): boolean {
    const reports = this.#options.health.report(this.#servicesOf(group).map(({ id }) => id));
    const verdicts = reports.flatMap(({ realServers }) => realServers.map(({ verdict }) => verdict));
    return verdicts.length > 0 && verdicts.every((verdict) => verdict === "down");
  }

  async #askForRivals(): Promise<void> {
    const { loop, kernel } = this.#options;
    for (const { groupId } of this.#fragments()) {
      if (this.#members.get(groupId)?.role !== "master") continue;
      const vrrp = loop.desired.get(resourceKey.vrrp(groupId)) as VrrpResource | undefined;
      const asked = vrrp?.vips.slice(0, 1) ?? [];
      const found = await kernel.otherHolders(asked);
      const [vip, macs] = [...found][0] ?? [];
      if (!vip || !macs) this.#rivals.delete(groupId);
      else {
        const meta = { vip, macs: macs.join(", ") };
        this.#rivals.set(groupId, { code: "member.rival", message: `${vip} is held by ${meta.macs}, too.`, meta });
      }
    }
  }

  #tell(groups: readonly DirectorGroupFragment[]): void {
    const reports = groups.map((group): GroupReport => {
      const member = this.#members.get(group.groupId);
      return {
        groupId: group.groupId,
        role: member?.role ?? "unknown",
        since: member?.since ?? startedAt,
        transitions: member?.transitions ?? [],
        syncDaemons: (["master", "backup"] as const).flatMap((state) => {
          const daemon = this.#options.loop.seen.get(resourceKey.syncDaemon(state));
          return daemon?.kind === "syncDaemon" ? [{ state, interface: daemon.interface, syncId: daemon.syncId }] : [];
        }),
        isReady: this.#isReady(group),
        preferredGeneration: member?.preferredGeneration ?? null,
        findings: this.#findings(group),
      };
    });
    const text = JSON.stringify(reports);
    if (text === this.#latestText) return;
    this.#latest = reports;
    this.#latestText = text;
    if (existsSync(this.#options.directory)) replace(this.#rolesFile, JSON.stringify(Object.fromEntries(this.#members)));
    this.#options.onChange();
  }

  #findings(group: DirectorGroupFragment): GroupFinding[] {
    const findings: GroupFinding[] = [];
    if (keepalivedPid(this.#files) === undefined)
      findings.push({ code: "member.vrrpDown", message: "keepalived does not run here." });
    if (this.#isCutOff(group))
      findings.push({ code: "member.cutOff", message: "No real server of the group's services answers here." });
    if (!this.#hasCaughtUp(group))
      findings.push({ code: "member.catchingUp", message: "It does not know the connections yet that the others carry." });
    return [...findings, ...[this.#rivals.get(group.groupId) ?? []].flat()];
  }
}

const startedAt = new Date().toISOString();

/** Whole or not at all, for a reader that looks at any moment; what it says is worth nothing after a power cut. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readKept<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined; // none yet, or cut short: it is found anew
  }
}
