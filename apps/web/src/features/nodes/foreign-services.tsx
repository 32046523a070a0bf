"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { ForeignServiceView, NodeDetailView } from "@trigon/model";
import { Button, Card, CardHeader, ConfirmDialog, toast } from "@trigon/ui";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { useMay } from "../../components/may.tsx";
import { live } from "../../lib/live.ts";
import { problemOf } from "../../lib/problem.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** Services in the director's table that Trigon did not make, and what to do about each. */
export function ForeignServices({ node }: { node: NodeDetailView }) {
  const t = useTranslations("foreign");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [removing, setRemoving] = useState<ForeignServiceView | null>(null);
  const services = useQuery({
    ...trpc.node.foreign.queryOptions({ id: node.id }),
    ...live,
    enabled: node.role === "director",
  });
  const after = (sentence: string) => ({
    onSuccess: () => {
      toast.success(sentence);
      void queryClient.invalidateQueries(trpc.node.pathFilter());
    },
    onError: (error: unknown) => void toast.error(problemOf(error).detail),
  });
  const adopt = useMutation(trpc.node.adoptForeign.mutationOptions(after(t("adopted"))));
  const decide = useMutation(trpc.node.decideForeign.mutationOptions(after(t("decided"))));
  const mayDecide = useMay("node:write");
  const rows = services.data?.data ?? [];
  if (rows.length === 0) return null;
  const isBusy = adopt.isPending || decide.isPending;
  const set = (key: string, decision: "ignore" | "remove" | null) => decide.mutate({ id: node.id, spec: { key, decision } });
  const nameOf = ({ key }: ForeignServiceView) => key.replace(/^ipvsService /, "").replace(/[^\w.-]+/g, "-");
  return (
    <Card>
      <CardHeader title={t("title")} hint={t("hint")} />
      <ul className="divide-y">
        {rows.map((row) => (
          <li key={row.key} className="flex flex-wrap items-start gap-3 p-4">
            <div className="min-w-0 flex-1 space-y-1 font-mono text-[0.8125rem]">
              <p className="break-all">{row.text}</p>
              {row.realServers.map((text) => (
                <p key={text} className="break-all text-soft">
                  {text}
                </p>
              ))}
              {row.refusal ? <p className="font-sans text-soft text-xs">{row.refusal}</p> : null}
            </div>
            {!mayDecide ? null : row.decision ? (
              <>
                <span className="text-soft">{t(`decision.${row.decision}`)}</span>
                <Button size="sm" disabled={isBusy} onClick={() => set(row.key, null)}>
                  {t("takeBack")}
                </Button>
              </>
            ) : (
              <>
                <Button
                  size="sm"
                  disabled={isBusy || row.refusal !== null}
                  onClick={() => adopt.mutate({ id: node.id, spec: { key: row.key, name: nameOf(row) } })}
                >
                  {t("adopt")}
                </Button>
                <Button size="sm" disabled={isBusy} onClick={() => set(row.key, "ignore")}>
                  {t("ignore")}
                </Button>
                <Button size="sm" disabled={isBusy} onClick={() => setRemoving(row)}>
                  {t("remove")}
                </Button>
              </>
            )}
          </li>
        ))}
      </ul>
      <ConfirmDialog
        open={removing !== null}
        onOpenChange={(open) => (open ? undefined : setRemoving(null))}
        title={t("removeTitle")}
        consequence={<p>{t("removeConsequence", { service: removing?.text ?? "" })}</p>}
        confirmLabel={t("remove")}
        cancelLabel={t("cancel")}
        loading={decide.isPending}
        onConfirm={() => {
          if (removing) set(removing.key, "remove");
          setRemoving(null);
        }}
      />
    </Card>
  );
}
