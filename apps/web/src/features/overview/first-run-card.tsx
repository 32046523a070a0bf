"use client";
import { useQuery } from "@tanstack/react-query";
import { Button, buttonStyle, Card, CardHeader, cn, SkeletonRows } from "@trigon/ui";
import { Circle, CircleCheck, X } from "lucide-react";
import Link from "next/link";
import { useEffect, useState } from "react";
import { useTranslations } from "use-intl";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";
import { doneSteps, type FirstStep, firstSteps } from "./first-run.ts";

const hiddenKey = "trigon_first_run_hidden";
const leads: Record<FirstStep, string> = {
  director: "/nodes/enroll",
  realServers: "/nodes/enroll",
  service: "/services/new",
  traffic: "/topology",
};

/** From an empty appliance to balanced packets: a list that ticks itself from live data, and goes away when all is done. */
export function FirstRun({ overview }: { overview: Outputs["overview"]["get"] }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const { services } = overview;
  // Null until the browser has said.
  const [isHidden, setHidden] = useState<boolean | null>(null);
  useEffect(() => setHidden(localStorage.getItem(hiddenKey) === "yes"), []);
  // A service that works tells of its nodes, and the overview's own watch reads them again when one of them changes.
  const asksNodes = isHidden === false && services.inSync === 0;
  const nodes = useQuery({ ...trpc.node.list.queryOptions({ limit: 200 }), enabled: asksNodes });
  // Nothing announces a first packet: it is asked for until there was one, and never again.
  const asksCounters = isHidden === false && services.total > 0;
  const counters = useQuery({
    ...trpc.virtualService.fleetCounters.queryOptions(),
    enabled: asksCounters,
    refetchInterval: ({ state }) => ((state.data?.connections ?? 0) > 0 ? false : 5_000),
  });
  const isKnown =
    isHidden === false && (!asksNodes || nodes.data !== undefined) && (!asksCounters || counters.data !== undefined);
  const done = doneSteps({ nodes: nodes.data?.data ?? [], services, connections: counters.data?.connections ?? 0 });
  const isComplete = done.size === firstSteps.length;
  // Who watched the last step tick sees that it did; who comes later sees nothing.
  const [wasOpen, setWasOpen] = useState(false);
  useEffect(() => {
    if (isKnown && !isComplete) setWasOpen(true);
  }, [isKnown, isComplete]);
  // Its place is kept while it is not known how far things are, so that nothing below is pushed down.
  const isComing = !isKnown && isHidden !== true && !nodes.isError && !counters.isError;
  if (isComing && services.inSync === 0)
    return (
      <Card className="min-h-76">
        <SkeletonRows label={t("common.loading")} />
      </Card>
    );
  if (!isKnown || (isComplete && !wasOpen)) return null;
  const next = firstSteps.find((step) => !done.has(step));
  const hide = () => {
    localStorage.setItem(hiddenKey, "yes");
    setHidden(true);
  };
  return (
    <Card>
      <CardHeader
        title={isComplete ? t("firstRun.complete") : t("firstRun.title")}
        hint={t("firstRun.progress", { done: done.size, total: firstSteps.length })}
        actions={
          <Button variant="ghost" size="iconSm" aria-label={t("firstRun.hide")} onClick={hide}>
            <X aria-hidden />
          </Button>
        }
      />
      <ol className="divide-y">
        {firstSteps.map((step) => {
          const isDone = done.has(step);
          const Icon = isDone ? CircleCheck : Circle;
          return (
            <li key={step} className="flex flex-wrap items-center gap-x-3 gap-y-2 px-4 py-3">
              <Icon aria-hidden className={cn("size-5 shrink-0", isDone ? "text-good" : "text-soft")} />
              <div className="min-w-52 flex-1">
                <p className={cn("font-medium", isDone && "text-soft")}>
                  {t(`firstRun.${step}.title`)}{" "}
                  <span className="sr-only">{isDone ? t("firstRun.done") : t("firstRun.open")}</span>
                </p>
                {isDone ? null : <p className="max-w-[70ch] text-soft">{t(`firstRun.${step}.hint`)}</p>}
              </div>
              {isDone ? null : (
                <Link
                  href={leads[step]}
                  className={buttonStyle({ variant: step === next ? "primary" : "secondary", size: "sm" })}
                >
                  {t(`firstRun.${step}.action`)}
                </Link>
              )}
            </li>
          );
        })}
      </ol>
    </Card>
  );
}
