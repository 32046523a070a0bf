import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { type Database, listen } from "@trigon/db";
import { DirectorGroupSpec } from "@trigon/model";
import type { Actor } from "./actor.ts";
import { type AgentDesk, agentDesk } from "./agent-desk.ts";
import { Asks } from "./asks.ts";
import { type Certificates, openCertificates } from "./certificates.ts";
import { Chores } from "./chores.ts";
import { CounterStore } from "./counters.ts";
import { FleetStore } from "./fleet-store.ts";
import { Live } from "./live.ts";
import { newId } from "./new-id.ts";
import { newsText, readNews } from "./news.ts";
import { Notifier } from "./notifier.ts";
import { controllerCall } from "./record.ts";
import type { ServiceContext } from "./service-context.ts";
import { adminStates } from "./services/admin-states.ts";
import { apiTokens } from "./services/api-tokens.ts";
import { auditService } from "./services/audit.ts";
import { changes } from "./services/changes.ts";
import { connectionsOf } from "./services/connections.ts";
import { directorGroups, freshProgress } from "./services/director-groups.ts";
import { type EnrollmentDesk, enrollment } from "./services/enrollment.ts";
import { events } from "./services/events.ts";
import { fleet } from "./services/fleet.ts";
import { foreign } from "./services/foreign-services.ts";
import { gates } from "./services/gates.ts";
import { nodes } from "./services/nodes.ts";
import { notificationTargets } from "./services/notification-targets.ts";
import { overview } from "./services/overview.ts";
import { releases } from "./services/release.ts";
import { search } from "./services/search.ts";
import { statistics } from "./services/statistics.ts";
import { topology } from "./services/topology.ts";
import { nodeUpgrades } from "./services/upgrades.ts";
import { users } from "./services/users.ts";
import { virtualServices } from "./services/virtual-services.ts";
import type { Services } from "./services.ts";
import { Statistics } from "./statistics.ts";
import { Watchers } from "./watchers.ts";

/** Nodes count often for so long after somebody looked at figures; while somebody goes on looking it is said again. */
const watchSeconds = 15;
const watchAgainMs = 5_000;

export interface ApiOptions {
  db: Database;
  /** 32 bytes that open the secrets in the database; see `loadSecretKey`. */
  secretKey: Buffer;
  /** The console's origin, as people and install scripts reach it. */
  publicUrl: string;
  /** The agent listener's origin, as nodes reach it. */
  agentUrl: string;
  /** curl's pin of the front certificate, as `sha256//…`. Asked late: the certificate may be made after the API. */
  pin: () => string;
  /** The hash of a user's password, as sign-in checks it. */
  hashPassword: (password: string) => Promise<string>;
  /** How long a node's certificate lasts, in seconds; default: 30 days. */
  nodeCertificateSeconds?: number;
  /** Addresses no VIP may be; default: this host's own and those in the two URLs. */
  controllerAddresses?: () => readonly string[];
  /** A node's plan is another now. */
  onNodeChanged?: (nodeId: string, generation: number) => void;
  /** A node's row changed: it may have been revoked. */
  onNodeEdited?: (nodeId: string) => void;
  /** A director shall probe a service at once. */
  onProbe?: (directorNodeId: string, serviceId: string) => void;
  /** Somebody looks at figures for so many seconds: nodes that are connected here shall send theirs more often. */
  onWatch?: (seconds: number) => void;
  /** A node that is connected here shall answer a question. */
  onAsk?: (nodeId: string, id: string, question: unknown) => void;
  log?: (line: string) => void;
  /** Milliseconds; for tests. */
  now?: () => number;
}

/** The API of one controller replica. */
export interface Api {
  services: Services;
  certificates: Certificates;
  agents: AgentDesk;
  enrollment: EnrollmentDesk;
  /** The actor of a bearer token. */
  authenticate(token: string): Promise<Actor>;
  /** The generation a node should have. */
  wanted(nodeId: string): number;
  /** Figures for `/metrics`, from memory. */
  figures(): { sequence: number; services: number; nodes: number; connectedNodes: number; isListening: boolean };
  close(): Promise<void>;
}

/** Reads the fleet and starts to keep up with it. Throws when the database cannot be read; later it may come and go. */
export async function createApi(options: ApiOptions): Promise<Api> {
  const { db } = options;
  const now = options.now ?? Date.now;
  const log = options.log ?? (() => undefined);
  const certificates = await openCertificates(db, options.secretKey, { now, nodeSeconds: options.nodeCertificateSeconds });

  const live: Live = new Live({
    db,
    now,
    onReport: (nodeId, fragmentIds) => {
      watchers.emit("virtualService", serviceIdsOf(store, fragmentIds));
      watchers.emit("node", [nodeId]);
      watchers.emit("enrollmentToken", null);
      chores.reported(nodeId);
    },
    onPresence: (nodeId) => {
      watchers.emit("virtualService", null);
      watchers.emit("node", [nodeId]);
      watchers.emit("enrollmentToken", null);
    },
    onClone: (nodeId) =>
      void quarantine(store, nodeId).catch((error: Error) => log(`${nodeId} not quarantined: ${error.message}`)),
  });
  const store: FleetStore = new FleetStore({
    db,
    now,
    report: (nodeId) => {
      const report = live.report(nodeId);
      return report && report.epoch === store.state.fleet?.epoch ? report : undefined;
    },
    isConnected: (nodeId) => live.isConnected(nodeId),
    onAdvance: ({ sequence, serviceIds, nodeIds, replanned }) => {
      if (serviceIds.length > 0) watchers.emit("virtualService", serviceIds);
      watchers.emit("node", new Set([...nodeIds, ...replanned]));
      if (nodeIds.length > 0) watchers.emit("enrollmentToken", null);
      for (const nodeId of replanned) options.onNodeChanged?.(nodeId, sequence);
      for (const nodeId of nodeIds) options.onNodeEdited?.(nodeId);
    },
  });
  const watchers = new Watchers(() => store.state.sequence);
  // Said again while it holds, so that nodes forget it when the controller is gone. What another replica said need not be said here.
  let watchSaidAt = Number.NEGATIVE_INFINITY;
  const onLook = () => {
    if (performance.now() - watchSaidAt < watchAgainMs) return;
    watchSaidAt = performance.now();
    db.tell(newsText({ kind: "watch", seconds: watchSeconds })).catch((error: Error) =>
      log(`nodes could not be told that somebody looks: ${error.message}`),
    );
  };
  const counterStore = new CounterStore({ db, now, onLook });
  const traffic = new Statistics({ db, now, steady: () => performance.now(), log });
  const context: ServiceContext = {
    db,
    asks: new Asks({ db, isConnected: (nodeId) => live.isConnected(nodeId) }),
    store,
    live,
    now,
    sources: { state: store.state, plans: store.plans, live },
    counters: counterStore,
    statistics: traffic,
    controllerAddresses: options.controllerAddresses ?? (() => ownAddresses([options.publicUrl, options.agentUrl])),
  };
  const chores = new Chores(context, log);
  const notifier = new Notifier({ ...context, secretKey: options.secretKey, publicUrl: options.publicUrl, log });

  await store.refresh();
  await live.start();
  await store.write(
    controllerCall,
    async (draft) => {
      if (draft.state.groups.size > 0) return;
      const id = newId("directorGroup");
      draft.putGroup({
        id,
        ...DirectorGroupSpec.parse({ name: "default" }),
        ...freshProgress,
        revision: 1,
        deletedAt: null,
      });
      draft.audit("fleet.created", id);
    },
    { isOptional: true, evenObserving: true },
  );
  const listener = listen(
    db.url,
    (sequence) => {
      if (sequence === store.state.sequence) return;
      store.refresh().catch((error: Error) => log(`the fleet could not be read: ${error.message}`));
    },
    {
      log,
      onNews: (text) => {
        const news = readNews(text);
        switch (news?.kind) {
          case "probe":
            return options.onProbe?.(news.nodeId, news.serviceId);
          case "watch":
            watchSaidAt = performance.now();
            return options.onWatch?.(news.seconds);
          case "ask":
            return options.onAsk?.(news.nodeId, news.id, news.question);
          case "answer":
            return void context.asks.fetch(news.id).catch((error: Error) => log(`an answer could not be read: ${error.message}`));
          case "node":
            return watchers.emit("node", [news.id]);
          case "enrollmentToken":
            return watchers.emit("enrollmentToken", [news.id]);
        }
      },
    },
  );
  chores.start();
  traffic.start();
  notifier.start();

  const { publicUrl, agentUrl, pin } = options;
  const enrolling = enrollment({ ...context, certificates, publicUrl, agentUrl, pin });
  const tokens = apiTokens(db, now);
  const agents = agentDesk(context, certificates, counterStore, log);

  return {
    certificates,
    agents,
    enrollment: enrolling.desk,
    authenticate: tokens.authenticate,
    wanted: (nodeId) => store.plans.wanted(nodeId),
    figures: () => ({
      sequence: store.state.sequence,
      services: store.state.liveServices().length,
      nodes: store.state.nodes.size,
      connectedNodes: live.connectedCount(),
      isListening: listener.isConnected(),
    }),
    services: {
      virtualServices: virtualServices(context),
      directorGroups: directorGroups(context),
      nodes: { ...nodes(context), upgrades: nodeUpgrades(context) },
      foreign: foreign(context),
      releases: releases(context),
      enrollment: enrolling.service,
      adminStates: adminStates(context),
      gates: gates(context),
      changes: changes(context),
      audit: auditService(db),
      events: events(context),
      apiTokens: tokens.service,
      users: users(db, now, options.hashPassword),
      notificationTargets: notificationTargets({ db, secretKey: options.secretKey, now }, notifier),
      fleet: fleet(context),
      overview: overview(context),
      topology: topology(context),
      search: search(context),
      statistics: statistics(context),
      counters: {
        async read(serviceIds) {
          const state = await store.refresh();
          await counterStore.look();
          return counterStore.views(state, serviceIds, ({ rip, nodeId }) => nodeId ?? state.index.realServerAt(rip)?.id);
        },
        async fleet() {
          await counterStore.look();
          return counterStore.fleet();
        },
        async paths(serviceId) {
          const state = await store.refresh();
          await counterStore.look();
          const nodeOf = ({ rip, nodeId }: { rip: string; nodeId: string | null }) => nodeId ?? state.index.realServerAt(rip)?.id;
          return counterStore.paths(state, state.service(serviceId), nodeOf);
        },
        connections: (input) => connectionsOf(context, input),
      },
      watch: (kind, after, signal) => watchers.watch(kind, after, signal),
    },
    close: async () => {
      await listener.close();
      await chores.close();
      await notifier.close();
      await traffic.close();
      await live.close();
    },
  };
}

/** The services that fragments belong to; a VIP belongs to every service on it. */
function serviceIdsOf(store: FleetStore, fragmentIds: readonly string[]): string[] {
  const ids = new Set<string>();
  for (const fragmentId of fragmentIds) {
    const [kind, name = ""] = [fragmentId.slice(0, 2), fragmentId.slice(3)];
    if (kind !== "dv") ids.add(name.split(":")[0]!);
    else for (const { id, spec } of store.state.liveServices()) if (spec.vip === name) ids.add(id);
  }
  return [...ids];
}

/** Two machines with one certificate: neither may talk until a person has looked. */
async function quarantine(store: FleetStore, nodeId: string): Promise<void> {
  await store.write(
    controllerCall,
    async (draft) => {
      const node = draft.state.node(nodeId);
      if (node.state !== "active") return;
      draft.putNode({ ...node, state: "quarantined", revision: node.revision + 1 });
      draft.audit("node.quarantined", nodeId, { name: node.name, reason: "two runs of one identity report in turn" });
    },
    { isOptional: true, evenObserving: true },
  );
}

function ownAddresses(urls: readonly string[]): string[] {
  const named = urls.map((url) => new URL(url).hostname.replace(/^\[|\]$/g, "")).filter((host) => isIP(host) !== 0);
  const local = Object.values(networkInterfaces()).flatMap((legs) => (legs ?? []).filter(({ internal }) => !internal));
  return [...new Set([...named, ...local.map(({ address }) => address)])];
}
