"use client";
import type { StatisticsView } from "@trigon/model";
import { Callout, Card, CardHeader, type ChartSeries, SkeletonRows, TimeChart } from "@trigon/ui";
import { useSubscription } from "@trpc/tanstack-react-query";
import { usePathname, useRouter, useSearchParams } from "next/navigation";
import { useFormatter, useTranslations } from "use-intl";
import { bitsPerSecond, countPerSecond } from "../../lib/format.ts";
import { useVisible } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { lastKnownMs } from "./last-known.ts";

const ranges = ["1h", "24h", "30d"] as const;

/** What a service, or without one the fleet, moved over time; the range lives in the URL. */
export function TrafficCharts({ serviceId }: { serviceId?: string }) {
  const t = useTranslations("statistics");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const visible = useVisible();
  const given = useSearchParams().get("range");
  const range = ranges.find((one) => one === given) ?? "1h";
  const { data } = useSubscription(trpc.statistics.watch.subscriptionOptions({ range, serviceId }, { enabled: visible }));
  // The range before stays in `data` until the first word of the new one.
  const view = data?.range === range ? data : undefined;
  return (
    <Card>
      <CardHeader
        title={t("title")}
        hint={view ? t(`counted.${view.outCountedBy}`) : undefined}
        actions={<RangeChoice value={range} />}
      />
      {view ? <Charts view={view} /> : <SkeletonRows label={common("loading")} />}
    </Card>
  );
}

function RangeChoice({ value }: { value: (typeof ranges)[number] }) {
  const t = useTranslations("statistics");
  const router = useRouter();
  const pathname = usePathname();
  const choose = (range: string) => {
    const next = new URLSearchParams(window.location.search);
    next.set("range", range);
    router.replace(`${pathname}?${next}`, { scroll: false });
  };
  return (
    <fieldset className="flex rounded-md border border-line">
      <legend className="sr-only">{t("range")}</legend>
      {ranges.map((range) => (
        <button
          key={range}
          type="button"
          aria-pressed={range === value}
          onClick={() => choose(range)}
          className="min-h-7 px-3 text-soft text-xs tabular-nums first:rounded-l-md last:rounded-r-md hover:text-ink aria-pressed:bg-accent-soft aria-pressed:font-medium aria-pressed:text-accent"
        >
          {t(`ranges.${range}`)}
        </button>
      ))}
    </fieldset>
  );
}

function Charts({ view }: { view: StatisticsView }) {
  const t = useTranslations("statistics");
  const format = useFormatter();
  const stepMs = view.stepSeconds * 1000;
  const fromMs = Date.parse(view.from);
  const formatTime = (ms: number) =>
    view.range === "1h"
      ? format.dateTime(new Date(ms), { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
      : format.dateTime(new Date(ms), { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const chart = (
    key: "connections" | "packets" | "bits",
    series: ChartSeries[],
    formatValue: (value: number | null) => string,
  ) => (
    <figure className="min-w-0">
      <figcaption className="mb-1 font-medium text-sm">{t(key)}</figcaption>
      <TimeChart
        label={t("chart", { what: t(key) })}
        series={series}
        fromMs={fromMs}
        stepMs={stepMs}
        formatValue={formatValue}
        formatTime={formatTime}
        texts={{ table: t("table"), time: t("time"), noData: t("noData") }}
      />
    </figure>
  );
  const lastMs = lastKnownMs(view);
  const isStale = lastMs !== null && fromMs + view.connectionsPerSecond.length * stepMs - lastMs > Math.max(60_000, 2 * stepMs);
  return (
    <div className="space-y-4 p-4">
      {isStale ? (
        <Callout tone="warn" title={t("stale", { time: formatTime(lastMs) })}>
          {t("staleHint")}
        </Callout>
      ) : null}
      <div className="grid gap-6 xl:grid-cols-3">
        {chart("connections", [{ name: t("new"), tone: "accent", values: view.connectionsPerSecond }], countPerSecond)}
        {chart(
          "packets",
          [
            { name: t("in"), tone: "request", values: view.inPacketsPerSecond },
            { name: t("out"), tone: "reply", values: view.outPacketsPerSecond },
          ],
          countPerSecond,
        )}
        {chart(
          "bits",
          [
            { name: t("in"), tone: "request", values: inBits(view.inBytesPerSecond) },
            { name: t("out"), tone: "reply", values: inBits(view.outBytesPerSecond) },
          ],
          bitsPerSecond,
        )}
      </div>
    </div>
  );
}

const inBits = (bytes: readonly (number | null)[]) => bytes.map((value) => (value === null ? null : value * 8));
