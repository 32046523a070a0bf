"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Callout, Card, CardHeader, Chip, ConfirmDialog, Figure, SkeletonRows, toast } from "@trigon/ui";
import { useSubscription } from "@trpc/tanstack-react-query";
import { CircleAlert, CircleCheck, Unplug } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { bitRate, perSecond } from "../../lib/format.ts";
import { live, useVisible, useWatch } from "../../lib/live.ts";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";
import { TrafficCharts } from "../statistics/traffic-charts.tsx";
import { FirstRun } from "./first-run-card.tsx";

const nodesAsked = 200;
const nodesShown = 8;
const changesShown = 8;

type Overview = Outputs["overview"]["get"];

/** Is anything wrong? Problems with their links, or one calm line; then how much there is and how busy it is. */
export function OverviewPage() {
  const t = useTranslations();
  const trpc = useTRPC();
  const overview = useQuery({ ...trpc.overview.get.queryOptions(), ...live });
  useWatch("virtualService");
  return (
    <>
      <PageHeader title={t("nav.overview")} />
      {overview.data ? (
        <Content overview={overview.data} />
      ) : overview.error ? (
        <ProblemView error={overview.error} onRetry={() => void overview.refetch()} />
      ) : (
        <SkeletonRows label={t("common.loading")} />
      )}
    </>
  );
}

function Content({ overview }: { overview: Overview }) {
  const t = useTranslations("overview");
  const { services, nodes, fleet } = overview;
  return (
    <div className="space-y-4">
      {fleet.observeOnly ? <ObserveOnly /> : null}
      <FirstRun overview={overview} />
      <Health overview={overview} />
      <div className="grid gap-4 lg:grid-cols-2">
        <Card className="p-4">
          <dl className="grid grid-cols-3 gap-4">
            <Figure label={t("services")} value={<TextLink href="/services">{services.total}</TextLink>} />
            <Figure label={t("inSync")} value={services.inSync} />
            <Figure
              label={t("nodesConnected")}
              value={<TextLink href="/nodes">{`${nodes.connected}/${nodes.total}`}</TextLink>}
            />
          </dl>
        </Card>
        <Traffic />
      </div>
      {services.total > 0 ? <TrafficCharts /> : null}
      <div className="grid gap-4 lg:grid-cols-2">
        <Nodes />
        <RecentChanges />
      </div>
    </div>
  );
}

function Health({ overview: { problems, services, nodes } }: { overview: Overview }) {
  const t = useTranslations("overview");
  const say = useSay();
  if (problems.length === 0) {
    if (nodes.total === 0 && services.total === 0) return null;
    return (
      <Card className="flex items-center gap-3 p-4">
        <CircleCheck aria-hidden className="size-5 shrink-0 text-good" />
        <p className="font-medium">{services.total === 0 ? t("calmNoServices") : t("calm", { count: services.total })}</p>
      </Card>
    );
  }
  return (
    <Card>
      <CardHeader
        title={
          <span className="flex items-center gap-2">
            <CircleAlert aria-hidden className="size-4 text-bad" /> {t("problems", { count: problems.length })}
          </span>
        }
      />
      <ul className="divide-y">
        {problems.map((problem) => (
          <li key={`${problem.kind}${problem.objectId}`} className="flex flex-wrap gap-x-4 gap-y-0.5 px-4 py-2.5">
            <span className="min-w-40 font-medium">
              <ProblemLink id={problem.objectId} name={problem.objectName} />
            </span>
            <span className="min-w-0 flex-1 text-soft">{say("reason", problem.kind, problem.message, problem.values)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Ids say what they name: `vs_…` is a service, `node_…` a node. */
function ProblemLink({ id, name }: { id: string; name: string }) {
  if (id.startsWith("vs_")) return <TextLink href={`/services/${id}`}>{name}</TextLink>;
  if (id.startsWith("node_")) return <TextLink href={`/nodes/${id}`}>{name}</TextLink>;
  return <>{name}</>;
}

function Traffic() {
  const t = useTranslations("overview");
  const trpc = useTRPC();
  const { data } = useSubscription(
    trpc.virtualService.watchFleetCounters.subscriptionOptions(undefined, { enabled: useVisible() }),
  );
  return (
    <Card className="p-4">
      <dl className="grid grid-cols-2 gap-4 sm:grid-cols-3">
        <Figure label={t("connectionsPerSecond")} value={perSecond(data?.rates.connectionsPerSecond)} />
        <Figure label={t("in")} value={bitRate(data?.rates.inBytesPerSecond)} />
        <Figure label={t("out")} value={bitRate(data && sum([data.rates.outBytesPerSecond, data.replyBytesPerSecond]))} />
      </dl>
    </Card>
  );
}

/** Every node with what is the matter with it, the troubled first. */
function Nodes() {
  const t = useTranslations();
  const trpc = useTRPC();
  const nodes = useQuery({ ...trpc.node.list.queryOptions({ limit: nodesAsked }), ...live });
  const all = nodes.data?.data.filter(({ state }) => state === "active" || state === "quarantined") ?? [];
  const isWell = ({ isConnected, sync }: (typeof all)[number]) => isConnected && sync.state === "inSync";
  const shown = all.toSorted((a, b) => Number(isWell(a)) - Number(isWell(b))).slice(0, nodesShown);
  if (shown.length === 0) return null;
  return (
    <Card>
      <CardHeader
        title={t("nav.nodes")}
        actions={<TextLink href="/nodes">{t("overview.allNodes", { count: all.length })}</TextLink>}
      />
      <ul className="divide-y">
        {shown.map((node) => (
          <li key={node.id} className="flex flex-wrap items-center gap-x-4 gap-y-0.5 px-4 py-(--t-row-y)">
            <span className="min-w-28 flex-1">
              <TextLink href={`/nodes/${node.id}`}>{node.name}</TextLink>
              <span className="ml-2 text-soft text-xs">{t(`role.${node.role}`)}</span>
            </span>
            {node.isConnected ? (
              <SyncChip sync={node.sync} />
            ) : (
              <Chip tone="bad" icon={Unplug}>
                {t("overview.away")}
              </Chip>
            )}
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Who changed what lately. */
function RecentChanges() {
  const t = useTranslations();
  const trpc = useTRPC();
  const changes = useQuery({ ...trpc.change.list.queryOptions({ limit: changesShown }), ...live });
  const shown = changes.data?.data ?? [];
  if (shown.length === 0) return null;
  return (
    <Card>
      <CardHeader title={t("overview.recentChanges")} actions={<TextLink href="/changes">{t("overview.allChanges")}</TextLink>} />
      <ul className="divide-y">
        {shown.map((change) => (
          <li key={change.id} className="flex flex-wrap items-baseline gap-x-3 gap-y-0.5 px-4 py-(--t-row-y)">
            <span className="text-soft text-xs">{t(`changes.action.${change.action}`)}</span>
            <span className="min-w-28 flex-1 break-words font-medium">{change.objectName}</span>
            <span className="text-soft text-xs">
              {change.author} · <When at={change.at} />
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** The sum of what is known; null when nothing is. */
function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
}

/** The database is older than what the nodes hold: nothing is applied until somebody says that it is the truth. */
function ObserveOnly() {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const confirm = useMutation(
    trpc.fleet.confirmRestore.mutationOptions({
      onSuccess: () => {
        setOpen(false);
        toast.success(t("restore.done"));
        void queryClient.invalidateQueries();
      },
    }),
  );
  return (
    <>
      <Callout
        tone="warn"
        title={t("restore.title")}
        action={<Button onClick={() => setOpen(true)}>{t("restore.confirm")}</Button>}
      >
        {t("restore.explain")}
      </Callout>
      <ConfirmDialog
        open={isOpen}
        onOpenChange={setOpen}
        title={t("restore.confirmTitle")}
        consequence={<p>{t("restore.consequence")}</p>}
        confirmLabel={t("restore.confirm")}
        cancelLabel={t("common.cancel")}
        loading={confirm.isPending}
        error={confirm.error ? <ProblemCallout error={confirm.error} /> : undefined}
        onConfirm={() => confirm.mutate()}
      />
    </>
  );
}
