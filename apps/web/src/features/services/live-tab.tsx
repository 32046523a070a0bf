"use client";
import { endpoint, type GateView, type ServiceCountersView, type VirtualServiceView } from "@trigon/model";
import { Card, CardHeader, Chip, type Column, DataTable, EmptyState, Figure, Sparkline } from "@trigon/ui";
import { DoorOpen, Hourglass, LogOut, Server, ShieldQuestion } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { May, useMay } from "../../components/may.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";
import { bitRate, byteCount, perSecond } from "../../lib/format.ts";
import { useCountersHistory } from "../../lib/live.ts";
import { TrafficCharts } from "../statistics/traffic-charts.tsx";
import { AdminStateChip, GateOverride, RealServerMenu } from "./admin-state.tsx";
import { repliesDirectly, replyRate, replyTotal } from "./counters.ts";
import { HealthChip, HealthModeCallout } from "./health-chip.tsx";
import { PathChip } from "./path-chip.tsx";

const historyLength = 90;

/** What a service does now: figures, its real servers with their gates, and each node's part. */
export function LiveTab({ view, counters }: { view: VirtualServiceView; counters: ServiceCountersView | undefined }) {
  return (
    <div className="space-y-4">
      <HealthModeCallout health={view.status.health} />
      <Figures view={view} counters={counters} />
      <TrafficCharts serviceId={view.id} />
      <RealServers view={view} counters={counters} />
      <Parts view={view} />
    </div>
  );
}

function Figures({ view, counters }: { view: VirtualServiceView; counters: ServiceCountersView | undefined }) {
  const t = useTranslations("service");
  const history = useCountersHistory(counters, historyLength);
  const direct = repliesDirectly(view.forwarding);
  const active = counters?.realServers.reduce((sum, one) => sum + one.active, 0);
  return (
    <div className="grid gap-4 md:grid-cols-3">
      <ChartCard
        label={t("connectionsPerSecond")}
        value={perSecond(counters?.rates.connectionsPerSecond)}
        note={t("connectionsTotal", { total: counters?.totals.connections ?? 0, active: active ?? 0 })}
      >
        <Sparkline
          label={t("chart", { what: t("connectionsPerSecond") })}
          series={[{ tone: "accent", values: history.map(({ rates }) => rates.connectionsPerSecond) }]}
        />
      </ChartCard>
      <ChartCard
        label={t("requestsIn")}
        value={bitRate(counters?.rates.inBytesPerSecond)}
        note={t("sinceStart", { bytes: byteCount(counters?.totals.inBytes) })}
      >
        <Sparkline
          label={t("chart", { what: t("requestsIn") })}
          series={[{ tone: "request", values: history.map(({ rates }) => rates.inBytesPerSecond) }]}
        />
      </ChartCard>
      <ChartCard
        label={direct ? t("repliesDirect") : t("repliesThrough")}
        value={bitRate(replyRate(view.forwarding, counters))}
        note={
          direct && counters?.replyBytes === null
            ? t("repliesUncounted")
            : t("sinceStart", { bytes: byteCount(replyTotal(view.forwarding, counters)) })
        }
      >
        <Sparkline
          label={t("chart", { what: direct ? t("repliesDirect") : t("repliesThrough") })}
          series={[{ tone: "reply", values: history.map((sample) => replyRate(view.forwarding, sample)) }]}
        />
      </ChartCard>
    </div>
  );
}

function ChartCard(props: { label: string; value: string; note: string; children: ReactNode }) {
  return (
    <Card className="flex flex-col gap-3 p-4">
      <dl>
        <Figure label={props.label} value={props.value} note={props.note} />
      </dl>
      <div className="mt-auto">{props.children}</div>
    </Card>
  );
}

type RealServer = VirtualServiceView["realServers"][number];

function RealServers({ view, counters }: { view: VirtualServiceView; counters: ServiceCountersView | undefined }) {
  const t = useTranslations("service");
  const mayWrite = useMay("virtual-service:write");
  const byId = new Map(counters?.realServers.map((one) => [one.realServerId, one]));
  const nodeNames = new Map(view.status.parts.map(({ nodeId, nodeName }) => [nodeId, nodeName]));
  // The spec names a node only when somebody chose it; the gate knows who owns the RIP.
  const owners = new Map(view.status.gates.map(({ realServerId, nodeId }) => [realServerId, nodeId]));
  const all: Column<RealServer>[] = [
    {
      id: "rip",
      header: t("realServer"),
      isRowHeader: true,
      cell: (row) => (
        <span className="inline-flex flex-col">
          <span className="font-mono text-[0.8125rem]">{endpoint(row.rip, row.port ?? view.port)}</span>
          <OwnerOf nodeId={owners.get(row.id) ?? row.nodeId} names={nodeNames} />
        </span>
      ),
    },
    {
      id: "adminState",
      header: t("adminState"),
      cell: (row) => <AdminStateChip server={row} drain={byId.get(row.id)?.drain} />,
    },
    {
      id: "gate",
      header: t("admission"),
      cell: (row) => <GateChip serviceId={view.id} gate={worstGate(view.status.gates, row.id)} enabled={view.enabled} />,
    },
    { id: "health", header: t("health"), cell: (row) => <HealthChip view={view} realServerId={row.id} /> },
    {
      id: "path",
      header: t("path"),
      cell: (row) => {
        const path = byId.get(row.id)?.path;
        const director = path?.directorNodeId ? nodeNames.get(path.directorNodeId) : undefined;
        return <PathChip view={view} rip={row.rip} path={path} director={director} />;
      },
    },
    { id: "weight", header: t("weight"), numeric: true, cell: (row) => byId.get(row.id)?.weight ?? row.weight },
    { id: "active", header: t("active"), numeric: true, cell: (row) => byId.get(row.id)?.active ?? "–" },
    { id: "inactive", header: t("inactive"), numeric: true, cell: (row) => byId.get(row.id)?.inactive ?? "–" },
    {
      id: "connections",
      header: t("connectionsPerSecondShort"),
      numeric: true,
      cell: (row) => perSecond(byId.get(row.id)?.rates.connectionsPerSecond),
    },
    {
      id: "in",
      header: t("in"),
      numeric: true,
      cell: (row) => <span className="whitespace-nowrap">{bitRate(byId.get(row.id)?.rates.inBytesPerSecond)}</span>,
    },
    {
      id: "out",
      header: t("out"),
      numeric: true,
      cell: (row) => (
        <span className="whitespace-nowrap">{bitRate(replyRate(row.forwarding ?? view.forwarding, byId.get(row.id)))}</span>
      ),
    },
    { id: "actions", header: t("actions"), cell: (row) => <RealServerMenu view={view} server={row} /> },
  ];
  const columns = all.filter(({ id }) => mayWrite || id !== "actions");
  const known = new Set(view.realServers.map(({ id }) => id));
  const leaving = view.status.gates.filter((gate) => !known.has(gate.realServerId));
  return (
    <Card>
      <CardHeader title={t("realServers")} />
      {view.realServers.length > 0 ? (
        <DataTable caption={t("realServers")} columns={columns} rows={view.realServers} rowKey={(row) => row.id} />
      ) : (
        <EmptyState icon={Server} title={t("noRealServers")}>
          {t("noRealServersHint")}
        </EmptyState>
      )}
      {leaving.length > 0 ? (
        <ul className="space-y-1 border-t px-4 py-3">
          {leaving.map((gate) => (
            <li key={`${gate.realServerId}${gate.directorNodeId}`} className="flex flex-wrap items-center gap-2">
              <span className="font-mono text-[0.8125rem]">{endpoint(gate.rip, gate.port)}</span>
              <GateChip serviceId={view.id} gate={gate} enabled={view.enabled} />
            </li>
          ))}
        </ul>
      ) : null}
    </Card>
  );
}

const gateOrder = { waiting: 0, releasing: 1, open: 2 } as const;

/** Of a real server's gates, one a director, the one that is furthest from open. */
function OwnerOf({ nodeId, names }: { nodeId: string | null; names: ReadonlyMap<string, string> }) {
  const t = useTranslations("service");
  if (!nodeId) return <span className="text-soft text-xs">{t("unmanaged")}</span>;
  return (
    <TextLink href={`/nodes/${nodeId}`} className="text-xs">
      {names.get(nodeId) ?? t("itsNode")}
    </TextLink>
  );
}

function worstGate(gates: readonly GateView[], realServerId: string): GateView | undefined {
  return gates.filter((gate) => gate.realServerId === realServerId).sort((a, b) => gateOrder[a.state] - gateOrder[b.state])[0];
}

function GateChip(props: { serviceId: string; gate: GateView | undefined; enabled: boolean }) {
  const { gate, enabled } = props;
  const t = useTranslations("gate");
  if (!gate) return enabled ? <Chip icon={ShieldQuestion}>{t("none")}</Chip> : <span className="text-soft">–</span>;
  const looks = {
    open: { tone: "good", icon: DoorOpen },
    waiting: { tone: "warn", icon: Hourglass },
    releasing: { tone: "busy", icon: LogOut },
  } as const;
  const { tone, icon } = looks[gate.state];
  return (
    <span className="inline-flex flex-col items-start gap-0.5 max-sm:items-end">
      <Chip tone={tone} icon={icon}>
        {t(gate.state)}
      </Chip>
      {gate.reason ? (
        <span className="max-w-[40ch] whitespace-normal text-soft text-xs leading-snug">
          {gate.reasonCode ? t(`reasons.${gate.reasonCode}`, gate.values) : gate.reason} (<When at={gate.since} />)
        </span>
      ) : null}
      <May scope="node:write">
        <GateOverride serviceId={props.serviceId} gate={gate} />
      </May>
    </span>
  );
}

function Parts({ view }: { view: VirtualServiceView }) {
  const t = useTranslations();
  const parts = view.status.parts;
  return (
    <Card>
      <CardHeader title={t("service.parts")} hint={t("service.partsHint")} />
      {parts.length > 0 ? (
        <DataTable
          caption={t("service.parts")}
          rows={parts}
          rowKey={(part) => part.nodeId}
          columns={[
            {
              id: "node",
              header: t("nodes.node"),
              isRowHeader: true,
              cell: (part) => <TextLink href={`/nodes/${part.nodeId}`}>{part.nodeName}</TextLink>,
            },
            { id: "role", header: t("nodes.role"), cell: (part) => t(`role.${part.role}`) },
            { id: "state", header: t("services.sync"), cell: (part) => <SyncChip sync={part} /> },
          ]}
        />
      ) : (
        <p className="px-4 py-5 text-soft">{t("service.noParts")}</p>
      )}
    </Card>
  );
}
