"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { endpoint, type VirtualServiceView } from "@trigon/model";
import { Button, buttonStyle, Callout, ConfirmDialog, Disclosure, SkeletonRows, Tabs, toast } from "@trigon/ui";
import { Pencil, Power, Trash2, Unlink, Waypoints } from "lucide-react";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { useSay } from "../../i18n/say.ts";
import { live, useCounters, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { ChangeList } from "../records/change-list.tsx";
import { ConnectionsTab } from "./connections-tab.tsx";
import { Lint, useValidation } from "./lint.tsx";
import { LiveTab } from "./live-tab.tsx";
import { DeletionPreview, ReleasePreview } from "./preview.tsx";
import { SettingsTab } from "./settings-tab.tsx";
import { specOf } from "./spec.ts";

type Tab = "live" | "connections" | "settings" | "history";

/** One virtual service: what it does now, how it is set, and what happened to it. */
export function ServicePage({ id }: { id: string }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const service = useQuery({ ...trpc.virtualService.get.queryOptions({ id }), ...live });
  useWatch("virtualService");
  const counters = useCounters([id])?.get(id);
  const router = useRouter();
  const tab = (useSearchParams().get("tab") as Tab | null) ?? "live";

  const parent = { href: "/services", label: t("nav.services") };
  if (!service.data) {
    return (
      <>
        <PageHeader title={t("service.title")} parent={parent} />
        {service.error ? (
          <ProblemView error={service.error} onRetry={() => void service.refetch()} />
        ) : (
          <SkeletonRows label={t("common.loading")} />
        )}
      </>
    );
  }
  const view = service.data;
  return (
    <>
      <PageHeader
        title={view.name}
        parent={parent}
        chips={<SyncChip sync={view.status.sync} compact />}
        hint={
          <>
            <span className="font-mono text-[0.8125rem]">
              {endpoint(view.vip, view.port)}/{view.protocol}
            </span>{" "}
            · {t(`forwarding.${view.forwarding}.name`)}
            {view.description ? <> · {view.description}</> : null}
          </>
        }
        actions={<Actions view={view} liveConnections={sumActive(counters)} />}
      />
      {service.isRefetchError ? (
        <div className="mb-4">
          <ProblemCallout error={service.error} />
        </div>
      ) : null}
      <SyncNotice view={view} />
      <ServiceLint view={view} />
      <Tabs<Tab>
        label={view.name}
        value={tab}
        onValueChange={(value) =>
          router.replace(value === "live" ? `/services/${id}` : `/services/${id}?tab=${value}`, { scroll: false })
        }
        items={[
          { value: "live", label: t("service.tabs.live"), content: <LiveTab view={view} counters={counters} /> },
          { value: "connections", label: t("service.tabs.connections"), content: <ConnectionsTab view={view} /> },
          { value: "settings", label: t("service.tabs.settings"), content: <SettingsTab view={view} /> },
          { value: "history", label: t("service.tabs.history"), content: <ChangeList objectId={id} /> },
        ]}
      />
    </>
  );
}

function sumActive(counters: { realServers: { active: number }[] } | undefined): number {
  return counters?.realServers.reduce((sum, { active }) => sum + active, 0) ?? 0;
}

/** The reason, in full width, whenever the service is not simply in sync. */
function SyncNotice({ view }: { view: VirtualServiceView }) {
  const t = useTranslations("sync");
  const { state, message } = view.status.sync;
  if (state === "inSync" || state === "applying") return null;
  const tone = state === "failed" || state === "conflict" ? "bad" : state === "waiting" ? "warn" : "info";
  return (
    <Callout tone={tone} title={t(state)} className="mb-4">
      <SyncReason reason={view.status.sync.reason} message={message} />
    </Callout>
  );
}

/** What is legal but unwise about the service as it is now. */
function ServiceLint({ view }: { view: VirtualServiceView }) {
  const t = useTranslations("service");
  // biome-ignore lint/correctness/useExhaustiveDependencies: a revision is one spec, whatever its status
  const spec = useMemo(() => specOf(view), [view.id, view.revision]);
  const findings = useValidation(view.id, spec).data?.lint ?? [];
  if (findings.length === 0) return null;
  return (
    <div className="mb-4">
      <Lint findings={findings} title={t("lint")} />
    </div>
  );
}

function Actions({ view, liveConnections }: { view: VirtualServiceView; liveConnections: number }) {
  const t = useTranslations("service");
  return (
    <>
      <Link href={`/topology?service=${view.id}`} className={buttonStyle({ variant: "ghost" })}>
        <Waypoints aria-hidden /> {t("topology")}
      </Link>
      <May scope="virtual-service:write">
        <Changing view={view} liveConnections={liveConnections} />
      </May>
    </>
  );
}

/** What changes the service. */
function Changing({ view, liveConnections }: { view: VirtualServiceView; liveConnections: number }) {
  const t = useTranslations("service");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const refresh = () => queryClient.invalidateQueries(trpc.virtualService.get.queryFilter({ id: view.id }));
  const patch = useMutation(
    trpc.virtualService.patch.mutationOptions({
      onSuccess: (written) => {
        toast.success(written.enabled ? t("switchedOn", { name: written.name }) : t("switchedOff", { name: written.name }));
        void refresh();
      },
      onError: () => {
        toast.error(t("notSaved"));
        void refresh();
      },
    }),
  );
  return (
    <>
      <Link href={`/services/${view.id}/edit`} className={buttonStyle()}>
        <Pencil aria-hidden /> {t("edit")}
      </Link>
      <Button
        loading={patch.isPending}
        onClick={() => patch.mutate({ id: view.id, revision: view.revision, spec: { enabled: !view.enabled } })}
      >
        <Power aria-hidden /> {view.enabled ? t("switchOff") : t("switchOn")}
      </Button>
      <ReleaseButton view={view} />
      <DeleteButton view={view} liveConnections={liveConnections} />
    </>
  );
}

/** Only for a service that was adopted: Trigon forgets it, and leaves it in the kernel. */
function ReleaseButton({ view }: { view: VirtualServiceView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const queryClient = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const adoption = useQuery(trpc.virtualService.adoption.queryOptions({ id: view.id })).data?.data;
  const release = useMutation(
    trpc.virtualService.release.mutationOptions({
      onSuccess: () => {
        toast.success(t("service.released", { name: view.name }));
        router.push("/services");
        void queryClient.invalidateQueries(trpc.virtualService.rows.pathFilter());
      },
    }),
  );
  if (!adoption) return null;
  return (
    <>
      <Button variant="dangerQuiet" onClick={() => setOpen(true)}>
        <Unlink aria-hidden /> {t("service.release")}
      </Button>
      <ConfirmDialog
        open={isOpen}
        onOpenChange={(open) => {
          setOpen(open);
          if (!open) release.reset();
        }}
        title={t("service.releaseTitle", { name: view.name })}
        consequence={
          <>
            <p>{t("service.releaseConsequence", { node: adoption.nodeName })}</p>
            <Disclosure summary={t("service.deletePreview")}>
              <ReleasePreview id={view.id} revision={view.revision} />
            </Disclosure>
          </>
        }
        confirmLabel={t("service.release")}
        cancelLabel={t("common.cancel")}
        loading={release.isPending}
        error={release.error ? <ProblemCallout error={release.error} /> : undefined}
        onConfirm={() => release.mutate({ id: view.id })}
      />
    </>
  );
}

function DeleteButton({ view, liveConnections }: { view: VirtualServiceView; liveConnections: number }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const queryClient = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const remove = useMutation(
    trpc.virtualService.delete.mutationOptions({
      onSuccess: () => {
        toast.success(t("service.deleted", { name: view.name }));
        router.push("/services");
        void queryClient.invalidateQueries(trpc.virtualService.rows.pathFilter());
      },
    }),
  );
  return (
    <>
      <Button variant="dangerQuiet" onClick={() => setOpen(true)}>
        <Trash2 aria-hidden /> {t("service.delete")}
      </Button>
      <ConfirmDialog
        open={isOpen}
        onOpenChange={(open) => {
          setOpen(open);
          if (!open) remove.reset();
        }}
        title={t("service.deleteTitle", { name: view.name })}
        consequence={
          <>
            <p>
              {t("service.deleteConsequence", {
                address: `${endpoint(view.vip, view.port)}/${view.protocol}`,
                count: view.realServers.length,
              })}
            </p>
            {liveConnections > 0 ? (
              <p className="font-medium text-bad">{t("service.deleteLive", { count: liveConnections })}</p>
            ) : null}
            <Disclosure summary={t("service.deletePreview")}>
              <DeletionPreview id={view.id} revision={view.revision} />
            </Disclosure>
          </>
        }
        confirmLabel={t("service.delete")}
        cancelLabel={t("common.cancel")}
        loading={remove.isPending}
        error={
          remove.error ? (
            <ProblemCallout
              error={remove.error}
              onReload={() => {
                setOpen(false);
                remove.reset();
                void queryClient.invalidateQueries(trpc.virtualService.get.queryFilter({ id: view.id }));
              }}
            />
          ) : undefined
        }
        onConfirm={() => remove.mutate({ id: view.id, revision: view.revision })}
      />
    </>
  );
}

function SyncReason({ reason, message }: { reason: string; message: string }) {
  return <>{useSay()("reason", reason, message)}</>;
}
