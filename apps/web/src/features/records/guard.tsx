"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { guardSecondsDefault } from "@trigon/model";
import { Button, Callout, Chip, Field, Select, toast } from "@trigon/ui";
import { ShieldAlert, ShieldCheck, ShieldQuestionMark, ShieldX, Undo2 } from "lucide-react";
import { useNow, useTranslations } from "use-intl";
import { live } from "../../lib/live.ts";
import { problemOf } from "../../lib/problem.ts";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";
import type { GuardChoice } from "./guard-choice.ts";

type ChangeView = Outputs["change"]["get"];
type Guard = NonNullable<ChangeView["guard"]>;

const looks = {
  pending: { tone: "warn", icon: ShieldQuestionMark },
  kept: { tone: "good", icon: ShieldCheck },
  undone: { tone: "bad", icon: ShieldX },
  failed: { tone: "bad", icon: ShieldAlert },
} as const;

/** How a change's guard stands and why; while it is pending, the countdown and what ends it. */
export function GuardLine({ change, guard }: { change: ChangeView; guard: Guard }) {
  const t = useTranslations("guard");
  const { tone, icon } = looks[guard.state];
  const waiting = guard.nodes.filter(({ isBack }) => !isBack).map(({ nodeName }) => nodeName);
  return (
    <div className="mt-2 flex flex-wrap items-center gap-x-3 gap-y-1.5 text-xs">
      <Chip tone={tone} icon={icon}>
        {t(`state.${guard.state}`)}
      </Chip>
      <span className="text-soft">{t(`kind.${guard.kind}`)}</span>
      {guard.state === "pending" ? (
        <>
          <Countdown deadline={guard.deadline} />
          {guard.kind === "reachability" && waiting.length > 0 ? (
            <span>{t("waitsFor", { nodes: waiting.join(", ") })}</span>
          ) : null}
          <GuardButtons change={change} />
        </>
      ) : (
        <span className="min-w-0 break-words">
          {t(`reason.${guard.reason}`, { by: guard.decidedBy ?? "", message: guard.message })}
        </span>
      )}
    </div>
  );
}

function Countdown({ deadline }: { deadline: string }) {
  const t = useTranslations("guard");
  return <span className="tabular-nums">{t("left", { seconds: useSecondsLeft(deadline) })}</span>;
}

function useSecondsLeft(deadline: string): number {
  const now = useNow({ updateInterval: 1000 });
  return Math.max(0, Math.ceil((Date.parse(deadline) - now.getTime()) / 1000));
}

function GuardButtons({ change }: { change: ChangeView }) {
  const t = useTranslations("guard");
  const tChanges = useTranslations("changes");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const onError = (error: unknown) => void toast.error(problemOf(error).detail);
  const onSettled = () => void queryClient.invalidateQueries(trpc.pathFilter());
  const keep = useMutation(
    trpc.change.keep.mutationOptions({
      onSuccess: () => void toast.success(t("keptToast", { name: change.objectName })),
      onError,
      onSettled,
    }),
  );
  const undo = useMutation(
    trpc.change.undo.mutationOptions({
      onSuccess: () => void toast.success(tChanges("undoDone", { name: change.objectName })),
      onError,
      onSettled,
    }),
  );
  const isBusy = keep.isPending || undo.isPending;
  return (
    <span className="flex flex-wrap gap-2">
      <Button
        size="sm"
        variant="primary"
        loading={keep.isPending}
        disabled={isBusy}
        onClick={() => keep.mutate({ id: change.id })}
      >
        {t("keep")}
      </Button>
      <Button size="sm" loading={undo.isPending} disabled={isBusy} onClick={() => undo.mutate({ id: change.id })}>
        <Undo2 aria-hidden /> {t("undoNow")}
      </Button>
    </span>
  );
}

/** On every page: the changes that go back unless somebody presses Keep. */
export function PendingGuards() {
  const trpc = useTRPC();
  const { data } = useQuery({ ...trpc.change.list.queryOptions({ limit: 10, guard: "pending" }), ...live });
  const waiting = data?.data.filter(({ guard }) => guard?.kind === "operator") ?? [];
  if (waiting.length === 0) return null;
  return (
    <div className="space-y-2 px-4 pt-3 sm:px-6">
      {waiting.map((change) => change.guard && <PendingGuard key={change.id} change={change} deadline={change.guard.deadline} />)}
    </div>
  );
}

function PendingGuard({ change, deadline }: { change: ChangeView; deadline: string }) {
  const t = useTranslations("guard");
  return (
    <Callout tone="warn" title={t("banner", { name: change.objectName })}>
      <div className="mt-1 flex flex-wrap items-center gap-x-3 gap-y-2">
        <Countdown deadline={deadline} />
        <GuardButtons change={change} />
      </div>
    </Callout>
  );
}

const choices: readonly GuardChoice[] = ["auto", "none", "reachability", "operator"];

/** What a save is to be guarded by. */
export function GuardField({ value, onChange }: { value: GuardChoice; onChange: (choice: GuardChoice) => void }) {
  const t = useTranslations("guard");
  return (
    <Field label={t("label")} hint={t("hint")}>
      <Select value={value} onChange={(event) => onChange(event.target.value as GuardChoice)}>
        {choices.map((choice) => (
          <option key={choice} value={choice}>
            {t(`choice.${choice}`, guardSecondsDefault)}
          </option>
        ))}
      </Select>
    </Field>
  );
}
