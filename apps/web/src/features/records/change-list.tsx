"use client";
import { keepPreviousData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, Card, Chip, ConfirmDialog, EmptyState, SkeletonRows, toast } from "@trigon/ui";
import { History, Minus, Pencil, Plus, SearchX, Undo2 } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { SearchBox } from "../../components/search-box.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { Moment, When } from "../../components/time.tsx";
import { live } from "../../lib/live.ts";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";
import { fieldChanges } from "./diff.ts";
import { GuardLine } from "./guard.tsx";

type ChangeView = Outputs["change"]["list"]["data"][number];

const actionLooks = {
  created: { tone: "good", icon: Plus },
  updated: { tone: "busy", icon: Pencil },
  deleted: { tone: "bad", icon: Minus },
} as const;

/**
 * Changes, newest first: who, when, which fields, and what became of it on each node. With `objectId`, those of one object; with `onQuery`
 * they can be filtered.
 */
export function ChangeList(props: { objectId?: string; query?: string; onQuery?: (text: string) => void }) {
  const { objectId, query = "", onQuery } = props;
  const t = useTranslations();
  const trpc = useTRPC();
  const changes = useInfiniteQuery(
    trpc.change.list.infiniteQueryOptions(
      { limit: 50, query: objectId ?? (query || undefined) },
      { ...live, getNextPageParam: (page) => page.nextCursor ?? undefined, placeholderData: keepPreviousData },
    ),
  );
  const loaded = changes.data?.pages.flatMap((page) => page.data);
  const shown = objectId ? loaded?.filter((change) => change.objectId === objectId) : loaded;
  return (
    <Card>
      {onQuery && (query || shown?.length !== 0) ? (
        <div className="border-b p-3">
          <SearchBox label={t("changes.search")} value={query} onChange={onQuery} />
        </div>
      ) : null}
      {shown === undefined ? (
        changes.error ? (
          <ProblemView error={changes.error} onRetry={() => void changes.refetch()} />
        ) : (
          <SkeletonRows label={t("common.loading")} />
        )
      ) : shown.length === 0 && query ? (
        <EmptyState
          icon={SearchX}
          title={t("changes.noMatch")}
          action={<Button onClick={() => onQuery?.("")}>{t("services.clearFilter")}</Button>}
        />
      ) : shown.length === 0 ? (
        <EmptyState icon={History} title={t("changes.empty")}>
          {t("changes.emptyHint")}
        </EmptyState>
      ) : (
        <ol className="divide-y">
          {shown.map((change) => (
            <Change key={change.id} change={change} />
          ))}
        </ol>
      )}
      {changes.hasNextPage ? (
        <div className="border-t p-3 text-center">
          <Button loading={changes.isFetchingNextPage} onClick={() => void changes.fetchNextPage()}>
            {t("common.loadMore")}
          </Button>
        </div>
      ) : null}
    </Card>
  );
}

function Change({ change }: { change: ChangeView }) {
  const t = useTranslations();
  const fields = change.action === "deleted" ? [] : fieldChanges(change.before, change.after);
  const { tone, icon } = actionLooks[change.action];
  return (
    <li className="px-4 py-3">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <Chip tone={tone} icon={icon}>
          {t(`changes.action.${change.action}`)}
        </Chip>
        <span className="text-soft">{t(`objectKind.${change.objectKind}`)}</span>
        <span className="font-medium">
          <ObjectLink change={change} />
        </span>
        {change.undoOf === null ? null : <span className="text-soft text-xs">{t("changes.isUndo")}</span>}
        {change.undoneBy === null ? null : <span className="text-soft text-xs">{t("changes.undone")}</span>}
        <span className="ml-auto text-soft text-xs">
          {change.author} · <When at={change.at} /> · <Moment at={change.at} />
        </span>
        {change.guard?.state === "pending" ? null : <UndoIfAllowed change={change} />}
      </div>
      {change.guard ? <GuardLine change={change} guard={change.guard} /> : null}
      {fields.length > 0 ? (
        <details className="mt-1.5">
          <summary className="w-fit rounded text-soft text-xs hover:text-ink">
            {t("changes.fields", { count: fields.length })}
          </summary>
          <dl className="mt-1.5 space-y-1 overflow-x-auto rounded-md bg-sunken p-3 font-mono text-xs">
            {fields.map((field) => (
              <div key={field.path} className="flex flex-wrap gap-x-3">
                <dt className="text-soft">{field.path}</dt>
                <dd className="min-w-0 break-all">
                  {field.before === null ? null : (
                    <del className="text-bad">
                      <span className="sr-only">{t("changes.before")} </span>
                      {field.before || "∅"}
                    </del>
                  )}{" "}
                  {field.after === null ? null : (
                    <ins className="text-good no-underline">
                      <span className="sr-only">{t("changes.after")} </span>
                      {field.before === null ? null : "→ "}
                      {field.after || "∅"}
                    </ins>
                  )}
                </dd>
              </div>
            ))}
          </dl>
        </details>
      ) : null}
      {change.outcomes.length > 0 ? (
        <ul className="mt-2 flex flex-wrap gap-x-5 gap-y-1.5">
          {change.outcomes.map((outcome) => (
            <li key={outcome.nodeId} className="flex items-center gap-2 text-xs">
              <TextLink href={`/nodes/${outcome.nodeId}`} className="whitespace-nowrap">
                {outcome.nodeName}
              </TextLink>
              <SyncChip sync={{ state: outcome.state, reason: "", message: outcome.message }} compact />
              {outcome.state === "failed" || outcome.state === "conflict" ? (
                <span className="text-soft">{outcome.message}</span>
              ) : null}
            </li>
          ))}
        </ul>
      ) : null}
    </li>
  );
}

/** Takes the change back by another one; only offered while the object still is what this change made of it. */
function UndoIfAllowed({ change }: { change: ChangeView }) {
  return (
    <May scope={change.objectKind === "virtualService" ? "virtual-service:write" : "node:write"}>
      <Undo change={change} />
    </May>
  );
}

function Undo({ change }: { change: ChangeView }) {
  const t = useTranslations("changes");
  const tCommon = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isOpen, setOpen] = useState(false);
  const undo = useMutation(
    trpc.change.undo.mutationOptions({
      onSuccess: () => {
        toast.success(t("undoDone", { name: change.objectName }));
        setOpen(false);
        void queryClient.invalidateQueries(trpc.pathFilter());
      },
    }),
  );
  if (!change.canUndo) return null;
  return (
    <>
      <Button size="sm" variant="ghost" onClick={() => setOpen(true)}>
        <Undo2 aria-hidden /> {t("undo")}
      </Button>
      <ConfirmDialog
        open={isOpen}
        onOpenChange={(open) => {
          setOpen(open);
          if (!open) undo.reset();
        }}
        title={t("undoTitle", { name: change.objectName })}
        consequence={<p>{t(`undoConsequence.${change.action}`, { name: change.objectName })}</p>}
        confirmLabel={t("undo")}
        cancelLabel={tCommon("cancel")}
        loading={undo.isPending}
        error={undo.error ? <ProblemCallout error={undo.error} /> : undefined}
        onConfirm={() => undo.mutate({ id: change.id })}
      />
    </>
  );
}

function ObjectLink({ change }: { change: ChangeView }) {
  if (change.action !== "deleted" && change.objectKind === "virtualService")
    return <TextLink href={`/services/${change.objectId}`}>{change.objectName}</TextLink>;
  if (change.action !== "deleted" && change.objectKind === "node")
    return <TextLink href={`/nodes/${change.objectId}`}>{change.objectName}</TextLink>;
  return <>{change.objectName}</>;
}
