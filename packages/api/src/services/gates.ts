import { DomainError } from "@trigon/model";
import { forceGate, forgetGate, type Gate } from "@trigon/planner";
import type { Call } from "../actor.ts";
import type { AuditEventName } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { GateName } from "../shapes.ts";
import { gateView } from "../views.ts";

const isNamed =
  ({ realServerId, directorNodeId }: GateName) =>
  (gate: Gate) =>
    gate.realServerId === realServerId && gate.directorNodeId === directorNodeId;

/** Admission gates, with the reason each one waits, and an operator's way past it. */
export function gates({ store, sources }: ServiceContext): Services["gates"] {
  /** Goes past one gate. The service may be deleted: what it was still releases. */
  async function pass(call: Call, name: GateName, event: AuditEventName, step: (gate: Gate, sequence: number) => Gate) {
    await store.write(
      call,
      async (draft) => {
        const service = draft.state.services.get(name.id);
        const gate = service?.gates.find(isNamed(name));
        if (!service || !gate) {
          throw new DomainError(
            "resource.notFound",
            `Service ${name.id} has no gate for ${name.realServerId} at ${name.directorNodeId}.`,
          );
        }
        const next = step(gate, draft.sequence);
        if (next === gate) return;
        const isNamedOne = isNamed(name);
        const since = next.state === gate.state ? gate.since : draft.now;
        draft.putService({ ...service, gates: service.gates.map((one) => (isNamedOne(one) ? { ...next, since } : one)) });
        const { realServerId, directorNodeId } = name;
        draft.audit(event, name.id, { realServerId, directorNodeId, state: gate.state });
      },
      { isOptional: true },
    );
  }

  return {
    async list(serviceId) {
      const state = await store.refresh();
      const services = serviceId === undefined ? [...state.services.values()] : [state.service(serviceId)];
      return services.flatMap(({ id, gates: own }) => own.map((gate) => ({ ...gateView(sources, gate), serviceId: id })));
    },

    async force(call, name) {
      await pass(call, name, "gate.forced", forceGate);
      const gate = store.state.service(name.id).gates.find(isNamed(name))!;
      return { ...gateView(sources, gate), serviceId: name.id };
    },

    forget: (call, name) => pass(call, name, "gate.forgotten", forgetGate),
  };
}
