"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Name, type NodeDetailView, type TableRow } from "@trigon/model";
import {
  Button,
  Callout,
  Card,
  CardHeader,
  Chip,
  ConfirmDialog,
  DataTable,
  Dialog,
  Facts,
  Field,
  Input,
  Select,
  SkeletonRows,
  toast,
} from "@trigon/ui";
import { Ban, CircleCheck, CircleDashed, CircleSlash2, Crown, type LucideIcon, Pencil, ShieldAlert, Trash2 } from "lucide-react";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { z } from "zod";
import { May } from "../../components/may.tsx";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { Moment, When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { useSchemaResolver } from "../../lib/form.ts";
import { live, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { ForeignServices } from "./foreign-services.tsx";
import { Maintenance } from "./maintenance.tsx";
import { NodeDoctor } from "./node-doctor.tsx";
import { NodeStateChip } from "./node-state.tsx";
import { NodeProgram } from "./node-upgrade.tsx";

/** One node: may it talk, does it, and what does its kernel hold beside what it should. */
export function NodePage({ id }: { id: string }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const node = useQuery({ ...trpc.node.get.queryOptions({ id }), ...live });
  useWatch("node");
  const parent = { href: "/nodes", label: t("nav.nodes") };
  if (!node.data) {
    return (
      <>
        <PageHeader title={t("nodes.node")} parent={parent} />
        {node.error ? (
          <ProblemView error={node.error} onRetry={() => void node.refetch()} />
        ) : (
          <SkeletonRows label={t("common.loading")} />
        )}
      </>
    );
  }
  const view = node.data;
  return (
    <>
      <PageHeader
        title={view.name}
        parent={parent}
        hint={t(`role.${view.role}`)}
        chips={
          <>
            <NodeStateChip node={view} />
            <SyncChip sync={view.sync} compact />
            {view.isActiveDirector ? (
              <Chip tone="busy" icon={Crown}>
                {t("nodes.holdsVips")}
              </Chip>
            ) : null}
          </>
        }
        actions={
          <May scope="node:write">
            <Actions node={view} />
          </May>
        }
      />
      <div className="space-y-4">
        <StateNotice node={view} />
        <div className="grid gap-4 xl:grid-cols-2">
          <Identity node={view} />
          <Machine node={view} />
        </div>
        <NodeDoctor node={view} />
        <ForeignServices node={view} />
        <Maintenance node={view} />
        <Parts node={view} />
        <KernelTable node={view} />
        <Events node={view} />
        {view.state === "decommissioned" ? null : <NodeProgram node={view} />}
      </div>
    </>
  );
}

function StateNotice({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const say = useSay();
  if (node.state !== "active")
    return <Callout tone={node.state === "decommissioned" ? "info" : "bad"}>{t(`node.notice.${node.state}`)}</Callout>;
  if (!node.isConnected) return <Callout tone="warn">{t("node.notice.disconnected")}</Callout>;
  if (node.sync.state === "failed" || node.sync.state === "conflict" || node.sync.state === "waiting")
    return (
      <Callout tone={node.sync.state === "waiting" ? "warn" : "bad"} title={t(`sync.${node.sync.state}`)}>
        {say("reason", node.sync.reason, node.sync.message)}
      </Callout>
    );
  return null;
}

function Identity({ node }: { node: NodeDetailView }) {
  const t = useTranslations("node");
  return (
    <Card>
      <CardHeader title={t("identity")} />
      <Facts
        className="p-4"
        rows={[
          { name: t("lastSeen"), value: node.lastSeenAt ? <When at={node.lastSeenAt} /> : t("never") },
          {
            name: t("generation"),
            value: t("generationOf", { applied: node.generation.applied ?? "–", wanted: node.generation.wanted }),
          },
          { name: t("agentVersion"), value: node.agentVersion ?? "–" },
          { name: t("enrolled"), value: <Moment at={node.enrolledAt} /> },
          { name: t("certificate"), value: node.certificateExpiresAt ? <Moment at={node.certificateExpiresAt} /> : "–" },
          { name: "ID", value: <span className="break-all font-mono text-[0.8125rem]">{node.id}</span> },
        ]}
      />
    </Card>
  );
}

function Machine({ node }: { node: NodeDetailView }) {
  const t = useTranslations("node");
  const { facts } = node;
  return (
    <Card>
      <CardHeader title={t("machine")} />
      {facts ? (
        <Facts
          className="p-4"
          rows={[
            { name: t("hostname"), value: facts.hostname },
            { name: t("kernel"), value: `${facts.kernel} · ${facts.architecture}` },
            { name: "iptables", value: facts.iptables },
            ...facts.interfaces.map((one) => ({
              name: <span className="font-mono text-[0.8125rem]">{one.name}</span>,
              value: (
                <span className="font-mono text-[0.8125rem]">
                  {one.addresses.map(({ address, prefix }) => `${address}/${prefix}`).join(", ") || "–"}
                  <span className="text-soft">
                    {" "}
                    · mtu {one.mtu} · {one.up ? "up" : "down"}
                  </span>
                </span>
              ),
            })),
            {
              name: t("gateway"),
              value: (
                <span className="font-mono text-[0.8125rem]">
                  {facts.routes
                    .filter((route) => route.destination === null && route.gateway)
                    .map((route) => `${route.gateway}${route.interface ? ` (${route.interface})` : ""}`)
                    .join(", ") || "–"}
                </span>
              ),
            },
          ]}
        />
      ) : (
        <p className="p-4 text-soft">{t("noFacts")}</p>
      )}
    </Card>
  );
}

function Parts({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  return (
    <Card>
      <CardHeader title={t("node.parts")} hint={t("node.partsHint")} />
      {node.parts.length > 0 ? (
        <DataTable
          caption={t("node.parts")}
          rows={node.parts}
          rowKey={(part) => part.fragmentId}
          columns={[
            {
              id: "title",
              header: t("node.part"),
              isRowHeader: true,
              cell: (part) => <span className="break-words">{part.title}</span>,
            },
            { id: "state", header: t("services.sync"), cell: (part) => <SyncChip sync={part} /> },
          ]}
        />
      ) : (
        <p className="px-4 py-5 text-soft">{t("node.noParts")}</p>
      )}
    </Card>
  );
}

const rowLooks: Record<TableRow["state"], { tone: "good" | "bad" | "warn" | "idle"; icon: LucideIcon }> = {
  ok: { tone: "good", icon: CircleCheck },
  missing: { tone: "bad", icon: CircleDashed },
  different: { tone: "warn", icon: CircleSlash2 },
  foreign: { tone: "idle", icon: ShieldAlert },
};

/** What the kernel holds beside what it should, in the words of ipvsadm and ip. */
function KernelTable({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const [only, setOnly] = useState<"all" | "notOk">("all");
  const table = node.table;
  const rows = (table?.rows ?? []).filter((row) => only === "all" || row.state !== "ok");
  const wrong = table?.rows.filter((row) => row.state !== "ok").length ?? 0;
  return (
    <Card>
      <CardHeader
        title={t("node.table")}
        hint={
          table ? (
            <>
              {t("node.tableHint", { total: table.total, wrong })} · <When at={table.at} />
            </>
          ) : undefined
        }
        actions={
          table ? (
            <Select
              aria-label={t("node.tableFilter")}
              className="w-48"
              value={only}
              onChange={(event) => setOnly(event.target.value === "notOk" ? "notOk" : "all")}
            >
              <option value="all">{t("node.tableAll")}</option>
              <option value="notOk">{t("node.tableNotOk")}</option>
            </Select>
          ) : undefined
        }
      />
      {!table ? (
        <p className="px-4 py-5 text-soft">{t("node.noTable")}</p>
      ) : rows.length === 0 ? (
        <p className="px-4 py-5 text-soft">{only === "notOk" ? t("node.tableAllOk") : t("node.tableEmpty")}</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <section aria-label={t("node.table")} tabIndex={0} className="overflow-x-auto">
          <table className="w-full min-w-[42rem] text-left">
            <caption className="sr-only">{t("node.table")}</caption>
            <thead>
              <tr className="border-b bg-sunken/60 text-soft text-xs">
                <th scope="col" className="w-32 px-4 py-2 font-medium">
                  {t("node.state")}
                </th>
                <th scope="col" className="px-3 py-2 font-medium">
                  {t("node.desired")}
                </th>
                <th scope="col" className="px-3 py-2 pr-4 font-medium">
                  {t("node.observed")}
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.key} className="border-b align-top last:border-b-0 hover:bg-sunken/40">
                  <td className="px-4 py-1.5">
                    <Chip tone={rowLooks[row.state].tone} icon={rowLooks[row.state].icon}>
                      {t(`node.row.${row.state}`)}
                    </Chip>
                  </td>
                  <td className="whitespace-nowrap px-3 py-1.5 font-mono text-xs leading-6">
                    {row.desired ?? <span className="text-soft">—</span>}
                  </td>
                  <td className="whitespace-nowrap px-3 py-1.5 pr-4 font-mono text-xs leading-6">
                    {row.observed ?? <span className="text-soft">—</span>}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </section>
      )}
      {table && table.total > table.rows.length ? (
        <p className="border-t px-4 py-2 text-soft text-xs">
          {t("node.tableCut", { shown: table.rows.length, total: table.total })}
        </p>
      ) : null}
    </Card>
  );
}

function Events({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const say = useSay();
  const events = [...node.events].sort((a, b) => b.at.localeCompare(a.at)).slice(0, 50);
  return (
    <Card>
      <CardHeader title={t("node.events")} />
      {events.length === 0 ? (
        <p className="px-4 py-5 text-soft">{t("node.noEvents")}</p>
      ) : (
        <ul className="divide-y">
          {events.map((event) => (
            <li key={`${event.at}${event.kind}${event.key}${event.message}`} className="flex flex-wrap gap-x-4 px-4 py-2">
              <span className="w-48 text-soft">
                <Moment at={event.at} />
              </span>
              <span className="min-w-32 font-medium">{say("agentEvent", event.kind, event.kind)}</span>
              <span className="min-w-0 basis-full break-words text-soft sm:flex-1 sm:basis-0">{event.message}</span>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

function Actions({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState<"rename" | "revoke" | "decommission" | null>(null);
  const done = (sentence: string) => {
    setAsking(null);
    toast.success(sentence);
    void queryClient.invalidateQueries(trpc.node.pathFilter());
  };
  const revoke = useMutation(trpc.node.revoke.mutationOptions({ onSuccess: () => done(t("node.revoked", { name: node.name })) }));
  const decommission = useMutation(
    trpc.node.decommission.mutationOptions({ onSuccess: () => done(t("node.decommissioned", { name: node.name })) }),
  );
  if (node.state === "decommissioned") return null;
  const reload = () => {
    setAsking(null);
    void queryClient.invalidateQueries(trpc.node.pathFilter());
  };
  const ask = (what: "revoke" | "decommission") => {
    revoke.reset();
    decommission.reset();
    setAsking(what);
  };
  const target = { id: node.id, revision: node.revision };
  return (
    <>
      <Button onClick={() => setAsking("rename")}>
        <Pencil aria-hidden /> {t("node.rename")}
      </Button>
      {node.state === "active" || node.state === "quarantined" ? (
        <Button variant="dangerQuiet" onClick={() => ask("revoke")}>
          <Ban aria-hidden /> {t("node.revoke")}
        </Button>
      ) : null}
      <Button variant="dangerQuiet" onClick={() => ask("decommission")}>
        <Trash2 aria-hidden /> {t("node.decommission")}
      </Button>
      {asking === "rename" ? <RenameDialog node={node} onClose={() => setAsking(null)} onDone={done} /> : null}
      <ConfirmDialog
        open={asking === "revoke"}
        onOpenChange={(open) => setAsking(open ? "revoke" : null)}
        title={t("node.revokeTitle", { name: node.name })}
        consequence={<p>{t("node.revokeConsequence")}</p>}
        confirmLabel={t("node.revoke")}
        cancelLabel={t("common.cancel")}
        loading={revoke.isPending}
        error={revoke.error ? <ProblemCallout error={revoke.error} onReload={reload} /> : undefined}
        onConfirm={() => revoke.mutate(target)}
      />
      <ConfirmDialog
        open={asking === "decommission"}
        onOpenChange={(open) => setAsking(open ? "decommission" : null)}
        title={t("node.decommissionTitle", { name: node.name })}
        consequence={<p>{t("node.decommissionConsequence")}</p>}
        confirmLabel={t("node.decommission")}
        cancelLabel={t("common.cancel")}
        loading={decommission.isPending}
        error={decommission.error ? <ProblemCallout error={decommission.error} onReload={reload} /> : undefined}
        onConfirm={() => decommission.mutate(target)}
      />
    </>
  );
}

const RenameSpec = z.strictObject({ name: Name });

function RenameDialog({
  node,
  onClose,
  onDone,
}: {
  node: NodeDetailView;
  onClose: () => void;
  onDone: (sentence: string) => void;
}) {
  const t = useTranslations();
  const trpc = useTRPC();
  const form = useForm({ defaultValues: { name: node.name }, resolver: useSchemaResolver(RenameSpec) });
  const rename = useMutation(
    trpc.node.rename.mutationOptions({ onSuccess: (written) => onDone(t("node.renamed", { name: written.name })) }),
  );
  return (
    <Dialog
      open
      onOpenChange={(open) => (open ? undefined : onClose())}
      title={t("node.renameTitle", { name: node.name })}
      closeLabel={t("common.close")}
    >
      <form
        noValidate
        className="space-y-4"
        onSubmit={(event) =>
          void form.handleSubmit((spec) => rename.mutate({ id: node.id, revision: node.revision, spec }))(event)
        }
      >
        {rename.error ? <ProblemCallout error={rename.error} onReload={onClose} /> : null}
        <Field label={t("node.name")} error={form.formState.errors.name?.message}>
          <Input {...form.register("name")} autoComplete="off" />
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" variant="primary" loading={rename.isPending}>
            {t("node.rename")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
