"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, ConfirmDialog, Disclosure, toast } from "@trigon/ui";
import { Play, Power, PowerOff, Trash2, Waves, X } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { type Inputs, useTRPC } from "../../lib/trpc.ts";
import { BulkPreview } from "./preview.tsx";

type Action = Inputs["virtualService"]["bulk"]["spec"]["action"];

/** So many at once: what the API takes. */
export const bulkMost = 1000;
const named = 8;

const actions: readonly { action: Action; icon: typeof Power; isSafe: boolean }[] = [
  { action: "switchOn", icon: Power, isSafe: true },
  { action: "switchOff", icon: PowerOff, isSafe: false },
  { action: "drain", icon: Waves, isSafe: false },
  { action: "activate", icon: Play, isSafe: true },
  { action: "delete", icon: Trash2, isSafe: false },
];

/** What can be done to the services that are chosen; each is asked about first, with what it would do. */
export function BulkBar(props: {
  selected: ReadonlyMap<string, string>;
  /** How many match the filter. */
  total: number;
  onSelectAll: () => void;
  isSelectingAll: boolean;
  onClear: () => void;
}) {
  const { selected, total, onClear } = props;
  const t = useTranslations("bulk");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [asked, setAsked] = useState<Action | null>(null);
  const bulk = useMutation(
    trpc.virtualService.bulk.mutationOptions({
      onSuccess: ({ changed }) => {
        toast.success(t("done", { count: changed }));
        setAsked(null);
        onClear();
        void queryClient.invalidateQueries(trpc.virtualService.rows.pathFilter());
      },
    }),
  );
  const ids = [...selected.keys()];
  const names = [...selected.values()].sort();
  const canAll = selected.size < Math.min(total, bulkMost);
  const chosen = actions.find(({ action }) => action === asked);
  return (
    <section
      aria-label={t("label")}
      className="sticky bottom-0 z-10 flex flex-wrap items-center gap-2 border-t bg-surface px-4 py-3 shadow-high"
    >
      <p aria-live="polite" className="mr-auto text-sm">
        <span className="font-medium tabular-nums">{t("selected", { count: selected.size })}</span>{" "}
        {canAll ? (
          <Button size="sm" variant="ghost" loading={props.isSelectingAll} onClick={props.onSelectAll}>
            {t("selectAll", { count: Math.min(total, bulkMost) })}
          </Button>
        ) : null}
      </p>
      {actions.map(({ action, icon: Icon }) => (
        <Button key={action} size="sm" variant={action === "delete" ? "dangerQuiet" : undefined} onClick={() => setAsked(action)}>
          <Icon aria-hidden /> {t(`actions.${action}`)}
        </Button>
      ))}
      <Button size="iconSm" variant="ghost" aria-label={t("clear")} onClick={onClear}>
        <X aria-hidden />
      </Button>
      {chosen ? (
        <ConfirmDialog
          open
          isSafe={chosen.isSafe}
          onOpenChange={(open) => {
            if (open) return;
            setAsked(null);
            bulk.reset();
          }}
          title={t(`ask.${chosen.action}`, { count: ids.length })}
          consequence={
            <>
              <p>{t(`consequence.${chosen.action}`)}</p>
              <ul className="max-h-40 overflow-y-auto font-mono text-[0.8125rem] text-ink">
                {names.slice(0, named).map((name) => (
                  <li key={name}>{name}</li>
                ))}
                {names.length > named ? <li className="text-soft">{t("others", { count: names.length - named })}</li> : null}
              </ul>
              <Disclosure summary={t("preview")}>
                <BulkPreview spec={{ action: chosen.action, ids }} />
              </Disclosure>
            </>
          }
          confirmLabel={t(`actions.${chosen.action}`)}
          cancelLabel={common("cancel")}
          loading={bulk.isPending}
          error={bulk.error ? <ProblemCallout error={bulk.error} /> : undefined}
          onConfirm={() => bulk.mutate({ spec: { action: chosen.action, ids } })}
        />
      ) : null}
    </section>
  );
}
