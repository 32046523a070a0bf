"use client";
import { useQuery } from "@tanstack/react-query";
import type { DirectorGroupView } from "@trigon/model";
import { Callout, Chip, SkeletonRows } from "@trigon/ui";
import { CircleCheck, RefreshCw, User } from "lucide-react";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { live, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { GroupForm } from "./group-form.tsx";
import { MoveActions, MoveHistory } from "./group-moves.tsx";
import { FindingLine, MemberCard } from "./member-card.tsx";
import { TakeoverHelp } from "./takeover-help.tsx";

/** One director group: who holds its VIPs, who stands by, and how that is agreed. */
export function GroupPage({ id }: { id: string }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const group = useQuery({ ...trpc.directorGroup.get.queryOptions({ id }), ...live });
  useWatch("node");
  const parent = { href: "/settings", label: t("nav.settings") };
  if (!group.data) {
    return (
      <>
        <PageHeader title={t("group.title")} parent={parent} />
        {group.error ? (
          <ProblemView error={group.error} onRetry={() => void group.refetch()} />
        ) : (
          <SkeletonRows label={t("common.loading")} />
        )}
      </>
    );
  }
  const view = group.data;
  const isPair = view.status.phase !== "single";
  return (
    <>
      <PageHeader
        title={view.name}
        parent={parent}
        hint={<Summary group={view} />}
        chips={<PhaseChip phase={view.status.phase} />}
        actions={
          isPair ? (
            <May scope="node:write">
              <MoveActions group={view} />
            </May>
          ) : undefined
        }
      />
      <div className="max-w-6xl space-y-4">
        <Notices group={view} />
        {view.members.length > 0 ? (
          <div className="grid gap-4 lg:grid-cols-2">
            {view.members.map((member) => (
              <MemberCard key={member.nodeId} member={member} isPair={isPair} vips={view.status.vips} />
            ))}
          </div>
        ) : (
          <Callout>{t("group.noMembers")}</Callout>
        )}
        {isPair ? <MoveHistory groupId={view.id} /> : null}
        <GroupForm key={view.id} group={view} />
        <TakeoverHelp />
      </div>
    </>
  );
}

const phases = {
  single: { tone: "idle", icon: User },
  paired: { tone: "good", icon: CircleCheck },
  joining: { tone: "busy", icon: RefreshCw },
  leaving: { tone: "busy", icon: RefreshCw },
} as const;

export function PhaseChip({ phase }: { phase: DirectorGroupView["status"]["phase"] }) {
  const t = useTranslations();
  const { tone, icon } = phases[phase];
  return (
    <Chip tone={tone} icon={icon} spin={phase === "joining" || phase === "leaving"}>
      {t(`group.phase.${phase}`)}
    </Chip>
  );
}

function Summary({ group }: { group: DirectorGroupView }) {
  const t = useTranslations("group");
  const { holderNodeId, vips, lastTakeover } = group.status;
  const holder = group.members.find(({ nodeId }) => nodeId === holderNodeId);
  const taker = group.members.find(({ nodeId }) => nodeId === lastTakeover?.nodeId);
  return (
    <p>
      {holder ? t("holds", { name: holder.name, count: vips.length }) : t("nobodyHolds", { count: vips.length })}
      {taker && lastTakeover ? (
        <>
          {" · "}
          {t("lastTakeover", { name: taker.name })} <When at={lastTakeover.at} />
        </>
      ) : null}
    </p>
  );
}

/** What is wrong with the group as a whole, and why its VIPs cannot be moved just now. */
function Notices({ group }: { group: DirectorGroupView }) {
  const t = useTranslations("group");
  const say = useSay();
  const { findings, move, phase } = group.status;
  const isBad = findings.some(({ code }) => code === "group.splitBrain" || code === "group.noHolder");
  const told = new Set(findings.map(({ code }) => code));
  const refusal = phase === "paired" && move.refusal && !told.has(move.refusal.code) ? move.refusal : null;
  return (
    <>
      {findings.length > 0 ? (
        <Callout tone={isBad ? "bad" : "warn"} title={t("findings")}>
          <ul className="space-y-1">
            {findings.map((finding) => (
              <FindingLine key={finding.code + finding.message} finding={finding} />
            ))}
          </ul>
        </Callout>
      ) : null}
      {refusal ? (
        <Callout title={t("cannotMove")}>{say("groupFinding", refusal.code, refusal.message, refusal.meta)}</Callout>
      ) : null}
    </>
  );
}
