"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { DirectorGroupView, GroupMoveView } from "@trigon/model";
import { Button, Card, CardHeader, Chip, ConfirmDialog, DataTable, type Tone, toast } from "@trigon/ui";
import { ArrowLeftRight, CircleAlert, CircleCheck, type LucideIcon, RefreshCw, Timer } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { Moment } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** What a move or a drill is answered with comes a moment later: while one is under way the page looks often. */
const underWayMs = 1000;

function useMoves(groupId: string) {
  const trpc = useTRPC();
  return useQuery({
    ...trpc.directorGroup.moves.queryOptions({ id: groupId }),
    refetchInterval: (query) => (query.state.data?.data.some(({ endedAt }) => endedAt === null) ? underWayMs : 10_000),
  });
}

/** The two buttons that move the VIPs, each behind one sentence. */
export function MoveActions({ group }: { group: DirectorGroupView }) {
  const t = useTranslations("group");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState<"move" | "drill" | null>(null);
  const moves = useMoves(group.id);
  const { toNodeId } = group.status.move;
  const to = group.members.find(({ nodeId }) => nodeId === toNodeId);
  const from = group.members.find(({ isActive }) => isActive);
  const isUnderWay = moves.data?.data.some(({ endedAt }) => endedAt === null) ?? false;
  const options = {
    onSuccess: (move: GroupMoveView) => {
      setAsking(null);
      toast.success(t(`asked.${move.kind}`, { name: move.to.name }));
    },
    onSettled: () => void queryClient.invalidateQueries(trpc.directorGroup.pathFilter()),
  };
  const move = useMutation(trpc.directorGroup.move.mutationOptions(options));
  const drill = useMutation(trpc.directorGroup.drill.mutationOptions(options));
  const open = (what: "move" | "drill") => {
    move.reset();
    drill.reset();
    setAsking(what);
  };
  const asked = asking === "drill" ? drill : move;
  const values = { from: from?.name ?? "–", to: to?.name ?? "–", count: group.status.vips.length };
  return (
    <>
      <Button disabled={!to || isUnderWay} onClick={() => open("drill")}>
        <Timer aria-hidden /> {t("drill")}
      </Button>
      <Button disabled={!to || isUnderWay} onClick={() => open("move")}>
        <ArrowLeftRight aria-hidden /> {to ? t("moveTo", { name: to.name }) : t("move")}
      </Button>
      <ConfirmDialog
        open={asking !== null}
        onOpenChange={(isOpen) => (isOpen ? undefined : setAsking(null))}
        title={asking === "drill" ? t("drillTitle") : t("moveTitle", values)}
        consequence={<p>{asking === "drill" ? t("drillConsequence", values) : t("moveConsequence", values)}</p>}
        confirmLabel={asking === "drill" ? t("drill") : t("move")}
        cancelLabel={common("cancel")}
        loading={asked.isPending}
        error={asked.error ? <ProblemCallout error={asked.error} /> : undefined}
        onConfirm={() => toNodeId && asked.mutate({ id: group.id, spec: { toNodeId } })}
      />
    </>
  );
}

const looks: Record<GroupMoveView["state"], { tone: Tone; icon: LucideIcon }> = {
  moving: { tone: "busy", icon: RefreshCw },
  returning: { tone: "busy", icon: RefreshCw },
  done: { tone: "good", icon: CircleCheck },
  failed: { tone: "bad", icon: CircleAlert },
};

/** Takeovers that somebody asked for, with the gaps that members' clocks tell. */
export function MoveHistory({ groupId }: { groupId: string }) {
  const t = useTranslations("group");
  const say = useSay();
  const moves = useMoves(groupId);
  const rows = moves.data?.data ?? [];
  const gap = (value: number | null) => (value === null ? "–" : t("ms", { value }));
  return (
    <Card>
      <CardHeader title={t("history")} hint={t("historyHint")} />
      {rows.length === 0 ? (
        <p className="px-4 py-5 text-soft">{t("noHistory")}</p>
      ) : (
        <DataTable
          caption={t("history")}
          rows={rows}
          rowKey={(row) => row.id}
          columns={[
            { id: "at", header: t("at"), isRowHeader: true, cell: (row) => <Moment at={row.startedAt} /> },
            { id: "kind", header: t("kind"), cell: (row) => t(row.kind) },
            { id: "way", header: t("way"), cell: (row) => `${row.from.name} → ${row.to.name}` },
            { id: "by", header: t("by"), cell: (row) => row.startedBy },
            { id: "gap", header: t("gap"), numeric: true, cell: (row) => gap(row.gapMs) },
            { id: "back", header: t("backGap"), numeric: true, cell: (row) => (row.kind === "drill" ? gap(row.backGapMs) : "–") },
            {
              id: "state",
              header: t("outcome"),
              cell: (row) => (
                <span className="inline-flex flex-wrap items-center gap-2">
                  <Chip tone={looks[row.state].tone} icon={looks[row.state].icon} spin={row.endedAt === null}>
                    {t(`moveState.${row.state}`)}
                  </Chip>
                  {row.reason ? <span className="text-soft text-xs">{say("groupFinding", row.reason, row.reason)}</span> : null}
                </span>
              ),
            },
          ]}
        />
      )}
    </Card>
  );
}
