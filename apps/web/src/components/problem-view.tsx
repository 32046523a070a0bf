"use client";
import { Button, Callout, EmptyState } from "@trigon/ui";
import { CircleAlert, FileQuestion, Lock, Unplug } from "lucide-react";
import { useTranslations } from "use-intl";
import { useSay } from "../i18n/say.ts";
import { useFieldSentence } from "../lib/form.ts";
import { isOutage, problemOf } from "../lib/problem.ts";

/** In place of what could not be loaded: not allowed, not there, out of reach and failed each look and read differently. */
export function ProblemView({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const t = useTranslations("errors");
  const say = useSay();
  const problem = problemOf(error);
  const retry = onRetry ? <Button onClick={onRetry}>{t("retry")}</Button> : undefined;
  if (problem.code === "auth.forbidden")
    return (
      <EmptyState icon={Lock} title={t("forbidden")}>
        {problem.detail}
      </EmptyState>
    );
  if (problem.code === "resource.notFound")
    return (
      <EmptyState icon={FileQuestion} title={t("notFound")}>
        {t("notFoundHint")}
      </EmptyState>
    );
  if (isOutage(problem))
    return (
      <EmptyState icon={Unplug} title={t("unreachable")} action={retry}>
        {say("problem", problem.code, problem.detail)}
      </EmptyState>
    );
  return (
    <EmptyState icon={CircleAlert} title={t("failed")} action={retry}>
      <p>{say("problem", problem.code, problem.detail)}</p>
      {problem.requestId ? <p className="mt-1 font-mono text-xs">{t("requestId", { id: problem.requestId })}</p> : null}
    </EmptyState>
  );
}

/** Why an action did not happen, where the action was asked for. */
export function ProblemCallout({ error, onReload }: { error: unknown; onReload?: () => void }) {
  const t = useTranslations("errors");
  const say = useSay();
  const sentence = useFieldSentence();
  const problem = problemOf(error);
  if (problem.code === "revision.stale")
    return (
      <Callout
        tone="warn"
        title={t("stale")}
        action={
          onReload ? (
            <Button size="sm" onClick={onReload}>
              {t("reload")}
            </Button>
          ) : undefined
        }
      >
        {t("staleHint")}
      </Callout>
    );
  return (
    <Callout tone="bad" title={say("problem", problem.code, t("failed"))}>
      {problem.fields.length > 0
        ? problem.fields.map((field) => <p key={`${field.pointer}${field.code}`}>{sentence(field)}</p>)
        : problem.code === "connection.lost"
          ? null
          : problem.detail}
      {problem.requestId ? (
        <p className="mt-0.5 font-mono text-soft text-xs">{t("requestId", { id: problem.requestId })}</p>
      ) : null}
    </Callout>
  );
}
