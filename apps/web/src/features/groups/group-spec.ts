import { DirectorGroupSpec, type DirectorGroupView } from "@trigon/model";

/** What the form of a group edits. Boxes that take numbers hold text until the schema has spoken. */
export interface GroupValues {
  mode: DirectorGroupSpec["mode"];
  /** Empty: nobody was named. */
  activeNodeId: string;
  /** Every director takes part, the earliest enrolled first; else those with a priority. */
  everyone: boolean;
  /** By node, of this group or of another; empty or left out: no member. */
  priorities: Record<string, string | undefined>;
  /** Addresses that move with the VIPs, apart by commas or spaces. */
  floatingAddresses: string;
  advertMs: string;
  preempt: boolean;
  interface: string;
  peers: DirectorGroupSpec["vrrp"]["peers"];
  virtualRouterId: string;
}

/** What a view was made from: its read-only fields left out, so that it can be sent back whole. */
export function specOf({
  id: _id,
  revision: _revision,
  members: _members,
  status: _status,
  ...spec
}: DirectorGroupView): DirectorGroupSpec {
  return DirectorGroupSpec.parse(spec);
}

export function valuesOf(view: DirectorGroupView): GroupValues {
  const { mode, activeNodeId, floatingAddresses, vrrp, members } = view;
  const chosen = new Map(vrrp.members.map(({ nodeId, priority }) => [nodeId, String(priority)]));
  return {
    mode,
    activeNodeId: activeNodeId ?? "",
    everyone: vrrp.members.length === 0,
    priorities: Object.fromEntries(members.map(({ nodeId }) => [nodeId, chosen.get(nodeId) ?? ""])),
    floatingAddresses: floatingAddresses.join(", "),
    advertMs: String(vrrp.advertMs),
    preempt: vrrp.preempt,
    interface: vrrp.interface ?? "",
    peers: vrrp.peers,
    virtualRouterId: vrrp.virtualRouterId === null ? "" : String(vrrp.virtualRouterId),
  };
}

/** The spec that the values mean, not checked yet, and where the form has what a pointer into it points at. */
export function toSpec(view: DirectorGroupView, values: GroupValues): { spec: unknown; toForm: (pointer: string) => string } {
  const chosen = Object.entries(values.priorities).filter(([, priority]) => (priority ?? "").trim() !== "");
  const members = values.everyone ? [] : chosen.map(([nodeId, priority]) => ({ nodeId, priority: numberIn(priority ?? "") }));
  const spec = {
    ...specOf(view),
    mode: values.mode,
    activeNodeId: values.activeNodeId === "" ? null : values.activeNodeId,
    floatingAddresses: values.floatingAddresses.split(/[\s,，]+/).filter((text) => text !== ""),
    vrrp: {
      members,
      advertMs: numberIn(values.advertMs),
      preempt: values.preempt,
      interface: values.interface.trim() === "" ? null : values.interface.trim(),
      peers: values.peers,
      virtualRouterId: numberIn(values.virtualRouterId),
    },
  };
  const toForm = (pointer: string) => {
    const member = /^\/vrrp\/members\/(\d+)\//.exec(pointer)?.[1];
    if (member !== undefined) return `/priorities/${chosen[Number(member)]?.[0] ?? ""}`;
    return pointer.replace(/^\/vrrp/, "").replace(/^\/floatingAddresses\/.*/, "/floatingAddresses");
  };
  return { spec, toForm };
}

/** Text that is no number stays text: the schema says so. */
function numberIn(text: string): number | string | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}
