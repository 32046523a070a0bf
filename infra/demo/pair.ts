import { type LoadFailure, runLoad, startLoad, until } from "@trigon/lab";
import type { DirectorGroupView, GroupMoveView, VirtualServiceView } from "@trigon/model";
import type { RestClient } from "./rest-client.ts";
import type { World } from "./world.ts";

/** New connections a second while the VIPs move: a gap is told to so many parts of a second. */
const probesPerSecond = 80;
const heldConnections = 10;

const onlyGroup = async (api: RestClient): Promise<DirectorGroupView> =>
  (await api.call<{ data: DirectorGroupView[] }>("GET", "/director-groups")).data[0]!;

/**
 * Has the fleet's only group keep its VIPs by VRRP. The real servers of NAT have the first director as their gateway, so it takes the VIPs whenever
 * it can.
 */
export async function makePair(api: RestClient): Promise<void> {
  const { id, revision, members: _members, status: _status, ...spec } = await onlyGroup(api);
  await api.call(
    "PUT",
    `/director-groups/${id}`,
    { ...spec, mode: "vrrp", vrrp: { ...spec.vrrp, preempt: true } },
    { "if-match": `"${revision}"` },
  );
}

/**
 * Services whose real servers answer the client without the director. Full NAT's translations are not carried to the other director; see the
 * console's help on takeovers.
 */
const targetsOf = (services: readonly VirtualServiceView[]) =>
  services.filter(({ forwarding }) => forwarding === "dr" || forwarding === "tun").map(({ vip, port }) => `${vip}:${port}`);

/** What a client saw of a drill. */
export interface Drill {
  isRight: boolean;
  view: GroupMoveView;
  /** The longest time without a new connection on the way there or back; null: there was none at all. */
  gapMs: number | null;
  held: number;
  lost: readonly LoadFailure[];
  /** New connections that failed once all was over. */
  failedAfter: number;
}

/** The client's own ports in `ss -Htn` lines. */
const portsOf = (lines: string): number[] =>
  lines.split("\n").flatMap((line) => {
    const port = /:(\d+)\s+\S+:80\s*$/.exec(line)?.[1];
    return port === undefined ? [] : [Number(port)];
  });

/** The VIPs go to the peer and back, while a client holds connections and makes new ones. */
export async function runDrill({ api, lab }: World, services: readonly VirtualServiceView[]): Promise<Drill> {
  let group = await onlyGroup(api);
  await until(
    "a director that could take over",
    async () => {
      group = await onlyGroup(api);
      if (group.status.move.toNodeId !== null) return true;
      throw new Error(group.status.move.refusal?.message);
    },
    { deadlineMs: 90_000, everyMs: 100 },
  );
  const client = lab.host("client");
  const holding = await startLoad(client, { targets: targetsOf(services), held: heldConnections });
  const peer = group.members.find(({ nodeId }) => nodeId === group.status.move.toNodeId)!.name;
  await until(
    `${peer} to know the held connections`,
    async () => {
      const open = await client.sh("ss -Htn state established dport = :80");
      const table = await lab.host(peer).sh("grep ESTABLISHED /proc/net/ip_vs_conn_sync || :");
      const unknown = portsOf(open).filter((port) => !table.includes(` ${port.toString(16).toUpperCase().padStart(4, "0")} `));
      if (unknown.length === 0) return true;
      throw new Error(`it knows nothing of those from ports ${unknown.join(" ")}`);
    },
    { deadlineMs: 30_000, everyMs: 100 },
  );
  const probing = await startLoad(client, { targets: targetsOf(services), rate: probesPerSecond });
  const { id } = await api.call<GroupMoveView>("POST", `/director-groups/${group.id}/drill`, {});
  const moves = async () => (await api.call<{ data: GroupMoveView[] }>("GET", `/director-groups/${group.id}/moves`)).data;
  const view = await until(
    "the drill to end",
    async () => (await moves()).find((move) => move.id === id && move.endedAt !== null),
    { deadlineMs: 60_000, everyMs: 100 },
  );
  const { gapMs } = await probing.stop();
  // A connection that is silent for three seconds is one that was lost: so long new ones are made.
  const { failed: failedAfter } = await runLoad(client, { targets: targetsOf(services), seconds: 4, rate: 5 });
  const lost = (await holding.stop()).failures.filter(({ held }) => held);
  const isRight = view.state === "done" && gapMs !== null && failedAfter === 0 && lost.length === 0;
  return { isRight, view, gapMs, held: heldConnections, lost, failedAfter };
}
