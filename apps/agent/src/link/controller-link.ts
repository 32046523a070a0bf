import { setTimeout as sleep } from "node:timers/promises";
import {
  type AgentAnswer,
  type AgentCounters,
  type AgentHint,
  type AgentReport,
  agentPaths,
  agentProtocol,
  type PlanEnvelope,
  parsePlanEnvelope,
  RenewAnswer,
  ReportAnswer,
  StreamEvent,
} from "@trigon/model";
import { createParser } from "eventsource-parser";
import { type Log, reasonOf } from "../log.ts";
import { newKeyAndRequest } from "../state/csr.ts";
import { type Identity, lifeOf, storeCredentials } from "../state/identity.ts";
import type { PlanPosition } from "../state/plan-cache.ts";
import { Backoff } from "./backoff.ts";
import { HttpError, HttpsClient } from "./http.ts";

/** `revoked`: the controller knows this node and will not serve it; the data plane stays. `ahead`: it is older than this node's plan. */
export type LinkState = "connecting" | "streaming" | "polling" | "revoked" | "ahead" | "stopped";

export interface LinkHandlers {
  /** What this node has, for `since`. */
  position(): PlanPosition | null;
  /** The generation that cut this node off and was put back; null or left out: none. */
  takenBack?(): number | null;
  /** Takes a plan in, and what it was read from; answers `gap` when it needs the whole one. */
  onPlan(plan: PlanEnvelope, json: Buffer): "done" | "gap";
  onReportNow(): void;
  /** A real server says that this service's listener there came or went. */
  onProbe(serviceId: string): void;
  /** Somebody looks at this node's figures for so many seconds. */
  onWatch?(seconds: number): void;
  /** The controller wants to know something of this node. */
  onAsk(question: unknown): Promise<{ answer: unknown } | { problem: string }>;
  onState(state: LinkState, reason: string | null): void;
}

export interface LinkTimes {
  pollMs: number;
  retryFirstMs: number;
  retryMostMs: number;
  revokedMs: number;
}
export const linkTimes: LinkTimes = { pollMs: 10_000, retryFirstMs: 500, retryMostMs: 30_000, revokedMs: 60_000 };

/**
 * The agent's side of the agent protocol. The stream only says that something newer is there; plans are fetched, so that nothing is lost
 * when it breaks. While there is no stream, the plan is polled.
 */
export class ControllerLink {
  readonly #stateDirectory: string;
  readonly #handlers: LinkHandlers;
  readonly #log: Log;
  readonly #times: LinkTimes;
  readonly #client: HttpsClient;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #identity: Identity;
  #pollTimer: NodeJS.Timeout | undefined;
  #renewTimer: NodeJS.Timeout | undefined;
  #fetching: Promise<void> | null = null;
  #fetchAgain = false;
  #streamOpen = false;
  #refusal: "revoked" | "ahead" | null = null;
  /** Why the stream is down; null before the first try and while it is up. */
  #streamTrouble: string | null = null;
  /** Why the last plan could not be fetched; null after one that could. */
  #trouble: string | null = null;
  #announced: LinkState = "connecting";

  constructor(options: { identity: Identity; stateDirectory: string; handlers: LinkHandlers; log: Log; times?: LinkTimes }) {
    this.#identity = options.identity;
    this.#stateDirectory = options.stateDirectory;
    this.#handlers = options.handlers;
    this.#log = options.log;
    this.#times = options.times ?? linkTimes;
    this.#client = new HttpsClient(options.identity);
    this.#backoff = new Backoff(this.#times.retryFirstMs, this.#times.retryMostMs);
  }

  get state(): { state: LinkState; reason: string | null; url: string } {
    return { state: this.#current, reason: this.#reason, url: this.#identity.enrollment.agentUrl };
  }

  start(): void {
    void this.#follow();
    this.#armPolling();
    this.#armRenewal();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#announce();
    for (const timer of [this.#pollTimer, this.#renewTimer]) clearTimeout(timer);
    await this.#fetching?.catch(() => undefined);
    this.#client.close();
  }

  /** Throws when it could not be delivered. */
  async report(report: AgentReport): Promise<ReportAnswer> {
    return ReportAnswer.parse(await this.#json(agentPaths.report, report));
  }

  async counters(counters: AgentCounters): Promise<void> {
    await this.#json(agentPaths.counters, counters);
  }

  /** Has the directors of these services probe at once. Throws when it could not be told. */
  async hint(serviceIds: string[]): Promise<void> {
    await this.#json(agentPaths.hint, { protocol: agentProtocol, serviceIds } satisfies AgentHint);
  }

  /** Fetches what is newer. Calls that come while one is under way are answered by one more after it. */
  fetchPlan(): Promise<void> {
    if (this.#fetching) {
      this.#fetchAgain = true;
      return this.#fetching;
    }
    this.#fetching = this.#fetchUntilCurrent().finally(() => {
      this.#fetching = null;
    });
    return this.#fetching;
  }

  async #fetchUntilCurrent(): Promise<void> {
    do {
      this.#fetchAgain = false;
      try {
        const position = this.#handlers.position();
        const known = position?.fleetId === this.#identity.enrollment.fleetId ? position : null;
        if ((await this.#takePlan(known)) === "gap") await this.#takePlan(null);
        this.#refusal = null;
        this.#trouble = null;
        this.#announce();
      } catch (error) {
        this.#failed("The plan could not be fetched", error);
        return;
      }
    } while (this.#fetchAgain && !this.#stop.signal.aborted);
  }

  async #takePlan(since: PlanPosition | null): Promise<"done" | "gap"> {
    const takenBack = this.#handlers.takenBack?.() ?? null;
    const told = takenBack === null ? "" : `&takenBack=${takenBack}`;
    const query = since ? `?since=${since.generation}&epoch=${since.epoch}${told}` : "";
    const json = await this.#client.bytes(this.#urlOf(`${agentPaths.plan}${query}`), { signal: this.#stop.signal });
    return this.#handlers.onPlan(parsePlanEnvelope(JSON.parse(json.toString())), json);
  }

  #json(path: string, body?: unknown): Promise<unknown> {
    return this.#client.json(this.#urlOf(path), { ...(body === undefined ? {} : { body }), signal: this.#stop.signal });
  }

  #urlOf(path: string): string {
    return new URL(path, this.#identity.enrollment.agentUrl).href;
  }

  /** Opens the stream, and again each time it ends. */
  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { trouble, isRefused } = await this.#listen();
      if (this.#stop.signal.aborted) return;
      this.#streamOpen = false;
      this.#streamTrouble = trouble;
      this.#announce();
      // What a refusal means is in the answer to the plan's request.
      if (isRefused) void this.fetchPlan();
      const isShutOut = isRefused || this.#refusal === "revoked";
      const wait = isShutOut ? this.#times.revokedMs * (0.5 + Math.random()) : this.#backoff.next();
      await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  /** Takes events in until the stream ends, and says why it did. */
  async #listen(): Promise<{ trouble: string; isRefused: boolean }> {
    const parser = createParser({ onEvent: ({ data }) => this.#onEvent(data) });
    try {
      for await (const text of this.#client.stream(this.#urlOf(agentPaths.stream), "text/event-stream", this.#stop.signal)) {
        if (!this.#streamOpen) this.#onStreamOpen();
        parser.feed(text);
      }
      return { trouble: "The stream ended", isRefused: false };
    } catch (error) {
      return { trouble: reasonOf(error), isRefused: error instanceof HttpError && error.status === 403 };
    }
  }

  #onStreamOpen(): void {
    this.#backoff.reset();
    this.#streamOpen = true;
    this.#streamTrouble = null;
    this.#announce();
    void this.fetchPlan();
  }

  #onEvent(data: string): void {
    const event = StreamEvent.safeParse(parseJson(data));
    if (!event.success) return;
    if (event.data.type === "plan") {
      const position = this.#handlers.position();
      if (position?.fleetId !== this.#identity.enrollment.fleetId || event.data.generation > position.generation)
        void this.fetchPlan();
    } else if (event.data.type === "probe") this.#handlers.onProbe(event.data.serviceId);
    else if (event.data.type === "watch") this.#handlers.onWatch?.(event.data.seconds);
    else if (event.data.type === "ask") void this.#answer(event.data.id, event.data.question);
    else if (event.data.hint === "renew") void this.#renew();
    else this.#handlers.onReportNow();
  }

  async #answer(id: string, question: unknown): Promise<void> {
    try {
      const answer = await this.#handlers.onAsk(question);
      await this.#json(agentPaths.answer, { protocol: agentProtocol, id, ...answer } satisfies AgentAnswer);
    } catch (error) {
      // Whoever asked waits no longer than a deadline.
      if (!this.#stop.signal.aborted) this.#log.warn("An answer could not be sent", { reason: reasonOf(error) });
    }
  }

  #armPolling(): void {
    const wait = (this.#refusal === "revoked" ? this.#times.revokedMs : this.#times.pollMs) * (0.75 + Math.random() / 2);
    this.#pollTimer = setTimeout(() => {
      const poll = this.#streamOpen && !this.#refusal && this.#trouble === null ? Promise.resolve() : this.fetchPlan();
      void poll.finally(() => {
        if (!this.#stop.signal.aborted) this.#armPolling();
      });
    }, wait);
  }

  #armRenewal(): void {
    clearTimeout(this.#renewTimer);
    const { renewAt } = lifeOf(this.#identity.certificate);
    // setTimeout holds at most 2^31 - 1 ms; looking again each half day is enough.
    const wait = Math.min(Math.max(renewAt - Date.now(), 0), 12 * 3600_000);
    this.#renewTimer = setTimeout(() => {
      if (Date.now() >= renewAt) void this.#renew();
      else this.#armRenewal();
    }, wait);
  }

  /** A fresh key each time; the old identity stays until the new one is on the disk. */
  async #renew(): Promise<void> {
    try {
      const { keyPem, csrPem } = newKeyAndRequest(this.#identity.enrollment.nodeId);
      const answer = RenewAnswer.parse(await this.#json(agentPaths.renew, { csr: csrPem }));
      const credentials = { key: keyPem, certificate: answer.certificate, ca: answer.ca };
      storeCredentials(this.#stateDirectory, credentials);
      this.#identity = { ...credentials, enrollment: this.#identity.enrollment };
      this.#client.replaceMaterial(this.#identity);
      this.#log.info("The certificate was renewed", { until: new Date(lifeOf(answer.certificate).until).toISOString() });
      this.#armRenewal();
      // Its first use revokes the certificate before: at once, not with the next report.
      void this.fetchPlan();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.#failed("The certificate could not be renewed", error);
      this.#renewTimer = setTimeout(() => void this.#renew(), 30_000 * (0.5 + Math.random()));
    }
  }

  #failed(what: string, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    this.#trouble = reasonOf(error);
    const code = error instanceof HttpError ? error.code : null;
    if (code === "node.revoked" || code === "node.quarantined") this.#refusal = "revoked";
    else if (code === "generation.ahead") this.#refusal = "ahead";
    this.#announce();
    this.#log.warn(what, { reason: this.#trouble });
  }

  get #reason(): string | null {
    return this.#trouble ?? this.#streamTrouble;
  }

  get #current(): LinkState {
    if (this.#stop.signal.aborted) return "stopped";
    if (this.#refusal) return this.#refusal;
    if (this.#streamOpen) return "streaming";
    return this.#reason === null ? "connecting" : "polling";
  }

  #announce(): void {
    if (this.#current === this.#announced) return;
    this.#announced = this.#current;
    this.#handlers.onState(this.#announced, this.#reason);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
