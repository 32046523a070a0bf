"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { NodeDetailView } from "@trigon/model";
import { Button, Card, CardHeader, DataTable, toast } from "@trigon/ui";
import { CirclePlay, Wrench } from "lucide-react";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { live } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** The services that a node serves, and the one action that drains it everywhere and the one that brings it back. */
export function Maintenance({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const roles = useQuery({ ...trpc.node.roles.queryOptions({ id: node.id }), ...live });
  const options = (sentence: string) => ({
    onSuccess: () => {
      toast.success(sentence);
      void queryClient.invalidateQueries(trpc.node.pathFilter());
    },
    onError: () => void toast.error(t("service.notSaved")),
  });
  const begin = useMutation(trpc.node.beginMaintenance.mutationOptions(options(t("maintenance.begun", { name: node.name }))));
  const end = useMutation(trpc.node.endMaintenance.mutationOptions(options(t("maintenance.ended", { name: node.name }))));
  const rows = roles.data?.data ?? [];
  if (node.role !== "realServer" || rows.length === 0) return null;
  const serves = rows.some(({ adminState }) => adminState === "active" || adminState === "draining");
  const isMaintained = rows.some(({ adminState }) => adminState === "maintenance");
  return (
    <Card>
      <CardHeader
        title={t("maintenance.title")}
        hint={t("maintenance.hint")}
        actions={
          <May scope="node:write">
            {isMaintained ? (
              <Button size="sm" loading={end.isPending} onClick={() => end.mutate({ id: node.id })}>
                <CirclePlay aria-hidden /> {t("maintenance.end")}
              </Button>
            ) : null}
            {serves ? (
              <Button size="sm" loading={begin.isPending} onClick={() => begin.mutate({ id: node.id })}>
                <Wrench aria-hidden /> {t("maintenance.begin")}
              </Button>
            ) : null}
          </May>
        }
      />
      <DataTable
        caption={t("maintenance.title")}
        rows={rows}
        rowKey={(row) => row.realServerId}
        columns={[
          {
            id: "service",
            header: t("maintenance.service"),
            isRowHeader: true,
            cell: (row) => <TextLink href={`/services/${row.serviceId}`}>{row.serviceName}</TextLink>,
          },
          { id: "rip", header: "RIP", cell: (row) => <span className="font-mono text-[0.8125rem]">{row.rip}</span> },
          { id: "state", header: t("adminState.title"), cell: (row) => t(`adminState.${row.adminState}`) },
        ]}
      />
    </Card>
  );
}
