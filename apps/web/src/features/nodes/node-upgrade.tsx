"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { NodeDetailView, NodeUpgradeView } from "@trigon/model";
import { Button, Card, CardHeader, Chip, ConfirmDialog, CopyBox, type Tone, toast } from "@trigon/ui";
import { ArrowUpCircle, CircleAlert, CircleCheck, type LucideIcon, RefreshCw } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { Moment } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { live } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";

const looks: Record<NodeUpgradeView["state"], { tone: Tone; icon: LucideIcon }> = {
  moving: { tone: "busy", icon: RefreshCw },
  installing: { tone: "busy", icon: RefreshCw },
  settling: { tone: "busy", icon: RefreshCw },
  done: { tone: "good", icon: CircleCheck },
  failed: { tone: "bad", icon: CircleAlert },
};

/** The program of a node: upgraded from here in one step or by a line on the machine, and what became of it. */
export function NodeProgram({ node }: { node: NodeDetailView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const upgrades = useQuery({ ...trpc.node.upgrades.queryOptions({ id: node.id }), ...live });
  const list = upgrades.data?.data ?? [];
  const isUnderWay = list.some(({ endedAt }) => endedAt === null);
  return (
    <Card>
      <CardHeader
        title={t("upgrade.title")}
        hint={t("upgrade.hint", { version: node.agentVersion ?? "–" })}
        actions={
          <May scope="node:write">
            <UpgradeButton node={node} isUnderWay={isUnderWay} />
          </May>
        }
      />
      {list.length > 0 ? (
        <ul className="divide-y border-b" aria-label={t("upgrade.history")}>
          {list.slice(0, 5).map((one) => (
            <Upgrade key={one.id} upgrade={one} />
          ))}
        </ul>
      ) : null}
      <div className="grid gap-4 p-4 lg:grid-cols-2">
        {(["upgrade", "uninstall"] as const).map((command) => (
          <div key={command} className="space-y-2">
            <p className="text-soft text-sm">{t(`node.${command}Hint`)}</p>
            <CopyBox
              text={`sudo trigon-agent ${command}`}
              label={t("enroll.line")}
              copyLabel={t("common.copy")}
              copiedLabel={t("common.copied")}
            />
          </div>
        ))}
      </div>
    </Card>
  );
}

function Upgrade({ upgrade }: { upgrade: NodeUpgradeView }) {
  const t = useTranslations("upgrade");
  const say = useSay();
  const { state, reason, message, fromVersion, toVersion } = upgrade;
  const { tone, icon } = looks[state];
  return (
    <li className="space-y-1.5 px-4 py-2.5">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <Chip tone={tone} icon={icon}>
          {t(`state.${state}`)}
        </Chip>
        <span className="text-soft text-sm">
          <Moment at={upgrade.startedAt} /> · {upgrade.startedBy}
        </span>
        {state === "done" && fromVersion !== toVersion ? (
          <span className="font-mono text-[0.8125rem]">
            {fromVersion ?? "–"} → {toVersion ?? "–"}
          </span>
        ) : null}
      </div>
      {reason === "" ? null : <p className="text-sm">{say("upgradeReason", reason, reason)}</p>}
      {message === "" ? null : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
        <pre tabIndex={0} className="max-h-40 overflow-auto whitespace-pre-wrap rounded bg-sunken p-2 font-mono text-xs">
          {message}
        </pre>
      )}
    </li>
  );
}

function UpgradeButton({ node, isUnderWay }: { node: NodeDetailView; isUnderWay: boolean }) {
  const t = useTranslations("upgrade");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isAsking, setAsking] = useState(false);
  const upgrade = useMutation(
    trpc.node.upgrade.mutationOptions({
      onSuccess: () => {
        setAsking(false);
        toast.success(t("asked", { name: node.name }));
      },
      onSettled: () => void queryClient.invalidateQueries(trpc.node.pathFilter()),
    }),
  );
  const open = () => {
    upgrade.reset();
    setAsking(true);
  };
  return (
    <>
      <Button disabled={isUnderWay || !node.isConnected || node.state !== "active"} onClick={open}>
        <ArrowUpCircle aria-hidden /> {t("action")}
      </Button>
      <ConfirmDialog
        open={isAsking}
        onOpenChange={setAsking}
        title={t("confirmTitle", { name: node.name })}
        consequence={
          <>
            <p>{t("consequence")}</p>
            {node.isActiveDirector ? <p>{t("consequenceHolder")}</p> : null}
          </>
        }
        confirmLabel={t("action")}
        cancelLabel={common("cancel")}
        loading={upgrade.isPending}
        error={upgrade.error ? <ProblemCallout error={upgrade.error} /> : undefined}
        onConfirm={() => upgrade.mutate({ id: node.id })}
      />
    </>
  );
}
