"use client";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { endpoint, Forwarding, type ServiceRow, SyncState } from "@trigon/model";
import {
  Button,
  buttonStyle,
  Card,
  Chip,
  type Column,
  DataTable,
  EmptyState,
  Input,
  Select,
  SkeletonRows,
  Sparkline,
} from "@trigon/ui";
import { HeartCrack, Network, Plus, Search, SearchX } from "lucide-react";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, useState } from "react";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { bitRate, perSecond } from "../../lib/format.ts";
import { type CountersById, live, useCounters, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { useSparklines } from "../statistics/use-sparklines.ts";
import { replyRate } from "./counters.ts";
import { HealthModeChip } from "./health-chip.tsx";

/** Every virtual service, live. The filter lives in the URL, so that it can be linked to and survives a reload. */
export function ServicesPage() {
  const t = useTranslations("services");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const filter = useFilter();
  const rows = useInfiniteQuery(
    trpc.virtualService.rows.infiniteQueryOptions(
      {
        limit: 200,
        query: filter.query || undefined,
        forwarding: Forwarding.options.find((one) => one === filter.forwarding),
        state: SyncState.options.find((one) => one === filter.state),
      },
      { ...live, getNextPageParam: (page) => page.nextCursor ?? undefined, placeholderData: keepPreviousData },
    ),
  );
  useWatch("virtualService");
  const counters = useCounters();
  const shown = rows.data?.pages.flatMap((page) => page.data);
  const columns = useColumns(counters, useSparklines(shown?.map(({ id }) => id)));

  return (
    <>
      <PageHeader
        title={t("title")}
        actions={
          <Link href="/services/new" className={buttonStyle({ variant: "primary" })}>
            <Plus aria-hidden /> {t("create")}
          </Link>
        }
      />
      <Card>
        {shown && shown.length === 0 && !filter.isSet ? null : <FilterBar filter={filter} />}
        {shown === undefined ? (
          rows.error ? (
            <ProblemView error={rows.error} onRetry={() => void rows.refetch()} />
          ) : (
            <SkeletonRows label={common("loading")} />
          )
        ) : shown.length > 0 ? (
          <DataTable caption={t("title")} columns={columns} rows={shown} rowKey={(row) => row.id} />
        ) : filter.isSet ? (
          <EmptyState icon={SearchX} title={t("noMatch")} action={<Button onClick={filter.clear}>{t("clearFilter")}</Button>}>
            {t("noMatchHint")}
          </EmptyState>
        ) : (
          <EmptyState
            icon={Network}
            title={t("empty")}
            action={
              <Link href="/services/new" className={buttonStyle({ variant: "primary" })}>
                <Plus aria-hidden /> {t("create")}
              </Link>
            }
          >
            {t("emptyHint")}
          </EmptyState>
        )}
        {rows.hasNextPage ? (
          <div className="border-t p-3 text-center">
            <Button loading={rows.isFetchingNextPage} onClick={() => void rows.fetchNextPage()}>
              {common("loadMore")}
            </Button>
          </div>
        ) : null}
      </Card>
    </>
  );
}

interface Filter {
  query: string;
  forwarding: string;
  state: string;
  isSet: boolean;
  set: (key: "q" | "forwarding" | "state", value: string) => void;
  clear: () => void;
}

function useFilter(): Filter {
  const router = useRouter();
  const params = useSearchParams();
  const query = params.get("q") ?? "";
  const forwarding = params.get("forwarding") ?? "";
  const state = params.get("state") ?? "";
  return {
    query,
    forwarding,
    state,
    isSet: Boolean(query || forwarding || state),
    set: (key, value) => {
      const next = new URLSearchParams(window.location.search);
      if (value) next.set(key, value);
      else next.delete(key);
      router.replace(next.size > 0 ? `/services?${next}` : "/services", { scroll: false });
    },
    clear: () => router.replace("/services", { scroll: false }),
  };
}

function FilterBar({ filter }: { filter: Filter }) {
  const t = useTranslations();
  const [text, setText] = useState(filter.query);
  // The URL changed by itself (Back, or "clear the filter"): the box follows.
  useEffect(() => setText(filter.query), [filter.query]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the clock
  useEffect(() => {
    if (text === filter.query) return;
    const timer = setTimeout(() => filter.set("q", text.trim()), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div className="flex flex-wrap gap-2 border-b p-3">
      <div className="relative min-w-48 flex-1 sm:max-w-80">
        <Search aria-hidden className="-translate-y-1/2 pointer-events-none absolute top-1/2 left-2.5 size-4 text-soft" />
        <Input
          type="search"
          aria-label={t("services.search")}
          placeholder={t("services.search")}
          className="pl-8"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
      </div>
      <Select
        aria-label={t("services.forwarding")}
        className="w-44"
        value={filter.forwarding}
        onChange={(event) => filter.set("forwarding", event.target.value)}
      >
        <option value="">{t("services.anyForwarding")}</option>
        {Forwarding.options.map((forwarding) => (
          <option key={forwarding} value={forwarding}>
            {t(`forwarding.${forwarding}.short`)}
          </option>
        ))}
      </Select>
      <Select
        aria-label={t("services.sync")}
        className="w-44"
        value={filter.state}
        onChange={(event) => filter.set("state", event.target.value)}
      >
        <option value="">{t("services.anyState")}</option>
        {SyncState.options.map((state) => (
          <option key={state} value={state}>
            {t(`sync.${state}`)}
          </option>
        ))}
      </Select>
    </div>
  );
}

function useColumns(
  counters: CountersById | undefined,
  sparklines: ReadonlyMap<string, readonly (number | null)[]>,
): Column<ServiceRow>[] {
  const t = useTranslations();
  return [
    {
      id: "name",
      header: t("services.name"),
      isRowHeader: true,
      cell: (row) => (
        <span className="inline-flex flex-wrap items-center gap-1.5">
          <TextLink href={`/services/${row.id}`} className="break-words">
            {row.name}
          </TextLink>
          <HealthModeChip mode={row.healthMode} />
          {row.healthMode === "normal" && row.realServers.out > 0 ? (
            <Chip tone="bad" icon={HeartCrack}>
              {t("health.out", { count: row.realServers.out })}
            </Chip>
          ) : null}
        </span>
      ),
    },
    {
      id: "vip",
      header: t("services.address"),
      cell: (row) => (
        <span className="whitespace-nowrap font-mono text-[0.8125rem]">
          {endpoint(row.vip, row.port)}
          <span className="text-soft">/{row.protocol}</span>
        </span>
      ),
    },
    {
      id: "forwarding",
      header: t("services.forwarding"),
      cell: (row) => <Chip>{t(`forwarding.${row.forwarding}.short`)}</Chip>,
    },
    {
      id: "scheduler",
      hideNarrow: true,
      header: t("services.scheduler"),
      cell: (row) => <span className="font-mono text-[0.8125rem]">{row.scheduler}</span>,
    },
    {
      id: "realServers",
      header: t("services.admitted"),
      numeric: true,
      cell: ({ realServers: { admitted, total } }) => (
        <span
          className={admitted < total || total === 0 ? "font-medium text-warn" : undefined}
          title={t("services.admittedOf", { admitted, total })}
        >
          {admitted}/{total}
        </span>
      ),
    },
    {
      id: "connections",
      header: t("services.connectionsPerSecond"),
      numeric: true,
      cell: (row) => perSecond(counters?.get(row.id)?.rates.connectionsPerSecond),
    },
    {
      id: "in",
      header: t("services.in"),
      numeric: true,
      cell: (row) => <span className="whitespace-nowrap">{bitRate(counters?.get(row.id)?.rates.inBytesPerSecond)}</span>,
    },
    {
      id: "out",
      header: t("services.out"),
      numeric: true,
      cell: (row) => <span className="whitespace-nowrap">{bitRate(replyRate(row.forwarding, counters?.get(row.id)))}</span>,
    },
    {
      id: "traffic",
      hideNarrow: true,
      header: t("services.traffic"),
      cell: (row) => {
        const values = sparklines.get(row.id);
        if (!values) return null;
        return (
          <Sparkline
            className="h-6 w-24"
            label={t("services.trafficChart", { name: row.name })}
            series={[{ tone: "accent", values }]}
          />
        );
      },
    },
    { id: "sync", header: t("services.sync"), cell: (row) => <SyncChip sync={row.sync} /> },
  ];
}
