import {
  type AgentAnswer,
  type AgentCounters,
  type AgentHint,
  type AgentReport,
  DomainError,
  type Facts,
  type PlanEnvelope,
  type RenewAnswer,
  type ReportAnswer,
} from "@trigon/model";
import { canonicalJson } from "@trigon/planner";
import type { z } from "zod";
import type { Certificates } from "./certificates.ts";
import type { CounterStore } from "./counters.ts";
import type { StoredNode } from "./fleet-rows.ts";
import { holderOf } from "./group-view.ts";
import { newsText } from "./news.ts";
import { controllerCall } from "./record.ts";
import type { ServiceContext } from "./service-context.ts";
import { foreignWishes, forgetRemoved } from "./services/foreign-services.ts";
import { guardOfPlan, takenBackBy } from "./services/guards.ts";

/** Who a client certificate speaks for, and its serial: lower-case hex without leading zeros. */
interface CertificateOwner {
  nodeId: string;
  serial: string;
}

/** Where a node stands, and the generation that cut it off and that it put back by itself, if it did. */
export interface PlanSince {
  generation: number;
  epoch: number;
  takenBack?: number | null;
}

/** What the agent protocol needs of the API. All of it throws DomainErrors. */
export interface AgentDesk {
  /**
   * Throws `node.revoked` or `node.quarantined` for a node that may not talk now, and `certificate.superseded` for a certificate whose
   * successor was used. Answers from memory; only what this replica does not know is looked up. The first use of a renewed certificate
   * revokes the one before.
   */
  admit(peer: CertificateOwner): Promise<void>;
  /** Whether `admit` would let this peer in, from memory alone. */
  mayStay(peer: CertificateOwner): boolean;
  /** Everything, or what is newer than `since`. Throws `generation.ahead` when this database is older than the node's plan. */
  planFor(nodeId: string, since: PlanSince | null): Promise<PlanEnvelope>;
  report(nodeId: string, report: AgentReport): Promise<ReportAnswer>;
  counters(nodeId: string, counters: AgentCounters): Promise<void>;
  /** Has the directors of these services look at once, as far as the node serves them. */
  hint(nodeId: string, hint: AgentHint): Promise<void>;
  /** A question of `asks` is answered. */
  answered(nodeId: string, answer: AgentAnswer): Promise<void>;
  renew(peer: CertificateOwner, csr: string): Promise<z.infer<typeof RenewAnswer>>;
  /** A stream of the node was opened, or its last one ended. */
  connected(nodeId: string, isConnected: boolean): void;
}

export function agentDesk(
  context: ServiceContext,
  certificates: Certificates,
  counterStore: CounterStore,
  log: (line: string) => void,
): AgentDesk {
  const { store, live, now } = context;

  /** An agent that has seen a newer generation proves that this database was restored: nothing is told or changed until an operator confirms. */
  async function refuseAhead(nodeId: string, { generation, epoch }: { generation: number; epoch: number }): Promise<void> {
    const isAhead = () => {
      const fleet = store.state.current;
      return epoch > fleet.epoch || (epoch === fleet.epoch && generation > fleet.sequence);
    };
    if (store.state.fleet && !isAhead()) return;
    await store.refresh();
    if (!isAhead()) return;
    const { observeOnly, highestReported } = store.state.current;
    if (!observeOnly || generation > (highestReported ?? 0)) {
      await store.write(
        controllerCall,
        async (draft) => {
          const highest = Math.max(generation, draft.state.current.highestReported ?? 0);
          await draft.tx.fleet.updateMany({ data: { observeOnly: true, highestReported: highest } });
          if (!draft.state.current.observeOnly) draft.audit("fleet.generationAhead", nodeId, { generation, epoch });
        },
        { evenObserving: true },
      );
    }
    const detail = `This node has generation ${generation}, the database is older: an operator must confirm the restored database.`;
    throw new DomainError("generation.ahead", detail);
  }

  async function learn(nodeId: string, facts: Facts | undefined, agentVersion: string): Promise<void> {
    const isNews = (node: StoredNode | undefined) =>
      node !== undefined &&
      (node.agentVersion !== agentVersion || (facts !== undefined && canonicalJson(node.facts) !== canonicalJson(facts)));
    if (!isNews(store.state.nodes.get(nodeId))) return;
    await store.write(
      controllerCall,
      async (draft) => {
        const node = draft.state.node(nodeId);
        if (!isNews(node)) return;
        draft.putNode({ ...node, agentVersion, facts: facts ?? node.facts, machineId: facts?.machineId ?? node.machineId });
      },
      { isOptional: true, evenObserving: true },
    );
  }

  function refusalOf({ nodeId, serial }: CertificateOwner): DomainError | null {
    const node = store.state.nodes.get(nodeId);
    if (!node) return new DomainError("resource.notFound", "This database does not know this node.");
    if (node.state === "revoked") return new DomainError("node.revoked", `${node.name} was revoked.`);
    if (node.state === "quarantined") {
      const detail = `${node.name} is quarantined: two machines use its certificate. Enroll them anew.`;
      return new DomainError("node.quarantined", detail);
    }
    if (node.certAccepted.length === 0 || node.certAccepted.includes(serial)) return null;
    return new DomainError(
      "certificate.superseded",
      `This certificate of ${node.name} was renewed, and the new one has been used.`,
    );
  }

  /** Whether this is a node's renewed certificate, while the one before is still good. */
  function supersedes({ nodeId, serial }: CertificateOwner): boolean {
    const accepted = store.state.nodes.get(nodeId)?.certAccepted ?? [];
    return accepted.length > 1 && accepted.at(-1) === serial;
  }

  /** Only now: an answer to a renewal may be lost, and the node must be able to ask again with what it has. */
  const retiring = new Set<string>();
  function retireOlder(peer: CertificateOwner): void {
    const { nodeId, serial } = peer;
    if (retiring.has(nodeId)) return;
    retiring.add(nodeId);
    const retired = store.write(
      controllerCall,
      async (draft) => {
        const node = draft.state.node(nodeId);
        if (node.certAccepted.length < 2 || node.certAccepted.at(-1) !== serial) return;
        draft.putNode({ ...node, certAccepted: [serial] });
        draft.audit("node.certificateRetired", nodeId, { serials: node.certAccepted.slice(0, -1), by: serial });
      },
      { isOptional: true, evenObserving: true },
    );
    retired
      .catch((error: Error) => log(`the certificate before ${serial} of ${nodeId} is not revoked yet: ${error.message}`))
      .finally(() => retiring.delete(nodeId));
  }

  return {
    async admit(peer) {
      const refusal = refusalOf(peer);
      if (refusal) {
        if (refusal.code !== "resource.notFound" && refusal.code !== "certificate.superseded") throw refusal;
        // It may have been enrolled or renewed by way of another replica a moment ago.
        await store.refresh();
        const still = refusalOf(peer);
        if (still) throw still;
      }
      if (supersedes(peer)) retireOlder(peer);
    },

    mayStay: (peer) => refusalOf(peer) === null,

    async planFor(nodeId, since) {
      if (since) await refuseAhead(nodeId, since);
      if (!store.state.fleet) await store.refresh();
      live.seen(nodeId);
      const { takenBack = null } = since ?? {};
      if (since && takenBack !== null && !store.state.current.observeOnly) {
        await takenBackBy(context, nodeId, since.generation, takenBack);
        return { ...store.plans.envelope(store.state, nodeId, since, now()), insists: true };
      }
      const envelope = store.plans.envelope(store.state, nodeId, since, now());
      if (!since || envelope.fragments.length + envelope.tombstones.length === 0) return envelope;
      const guard = await guardOfPlan(context, nodeId);
      return guard ? { ...envelope, guard } : envelope;
    },

    async report(nodeId, report) {
      if (report.fleetId !== store.state.current.id) {
        throw new DomainError("input.invalid", "This report is of another fleet.", [
          { pointer: "/fleetId", code: "fleet.foreign", detail: "Not this fleet's id" },
        ]);
      }
      await refuseAhead(nodeId, report);
      const answer = await live.accept(nodeId, report);
      if (answer.accepted) await learn(nodeId, report.facts, report.agentVersion);
      if (store.state.nodes.get(nodeId)?.role !== "director") return answer;
      const wishes = await foreignWishes(context, nodeId);
      if (wishes && report.table) {
        const shown = new Set(report.table.rows.map(({ key }) => key));
        await forgetRemoved(context, nodeId, wishes.remove, shown);
      }
      return wishes ? { ...answer, foreign: wishes } : answer;
    },

    async counters(nodeId, counters) {
      live.seen(nodeId);
      context.statistics.accept(nodeId, counters);
      await counterStore.accept(nodeId, counters);
    },

    async hint(nodeId, { serviceIds }) {
      for (const serviceId of new Set(serviceIds)) {
        const service = store.state.services.get(serviceId);
        const isServed = service?.gates.some(({ wanted, admitted }) => (admitted ?? wanted)?.nodeId === nodeId);
        const director = service && holderOf({ state: store.state, live }, service.spec.directorGroupId);
        if (isServed && director) await context.db.tell(newsText({ kind: "probe", nodeId: director, serviceId }));
      }
    },

    async answered(nodeId, answer) {
      live.seen(nodeId);
      await context.asks.answered(nodeId, answer);
    },

    async renew({ nodeId, serial }, csr) {
      const signed = await certificates.signNode(csr, nodeId);
      await store.write(
        controllerCall,
        async (draft) => {
          const node = draft.state.node(nodeId);
          draft.putNode({
            ...node,
            certSerial: signed.serial,
            certExpiresAt: signed.notAfter,
            certAccepted: [serial, signed.serial],
          });
          draft.audit("node.renewed", nodeId, { serial: signed.serial, notAfter: signed.notAfter.toISOString() });
        },
        { evenObserving: true },
      );
      return { certificate: signed.certificate, ca: certificates.ca };
    },

    connected(nodeId, isConnected) {
      if (isConnected) live.seen(nodeId);
      else live.left(nodeId);
    },
  };
}
