"use client";
import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { endpoint, forwardings, type ServiceCountersView, type ServiceRow, syncStates } from "@trigon/model";
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
import { ChevronLeft, ChevronRight, HeartCrack, Network, Plus, Search, SearchX } from "lucide-react";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { createContext, useCallback, useContext, useEffect, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { May, useMay } from "../../components/may.tsx";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { bitRate, perSecond } from "../../lib/format.ts";
import { type CountersById, live, useCounters, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { useSparklines } from "../statistics/use-sparklines.ts";
import { BulkBar, bulkMost } from "./bulk-bar.tsx";
import { replyRate } from "./counters.ts";
import { HealthModeChip } from "./health-chip.tsx";

const pageSize = 100;
const orders = ["name", "address", "forwarding", "admitted", "connections", "state"] as const;
type Order = (typeof orders)[number];

/** Every virtual service, live, a page at a time. Filter, order and page live in the URL, so that they can be linked to and survive a reload. */
export function ServicesPage() {
  const t = useTranslations("services");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const filter = useFilter();
  const asked = {
    query: filter.query || undefined,
    forwarding: forwardings.find((one) => one === filter.forwarding),
    state: syncStates.find((one) => one === filter.state),
    ...{ order: filter.order, descending: filter.descending },
  };
  const rows = useQuery(
    trpc.virtualService.rows.queryOptions(
      { ...asked, limit: pageSize, offset: filter.page * pageSize },
      { ...live, placeholderData: keepPreviousData },
    ),
  );
  useWatch("virtualService");
  const shown = rows.data?.data;
  const ids = useMemo(() => shown?.map(({ id }) => id) ?? [], [shown]);
  const counters = useCounters(ids);
  const sparklines = useSparklines(ids.length > 0 ? ids : undefined);
  const columns = useColumns();

  const mayWrite = useMay("virtual-service:write");
  // Chosen services stay chosen while pages are turned; the names are for the question that follows.
  const [selected, setSelected] = useState<ReadonlyMap<string, string>>(new Map());
  const select = useCallback(
    (some: readonly ServiceRow[], isOn: boolean) =>
      setSelected((before) => {
        const next = new Map(before);
        for (const { id, name } of some) {
          if (isOn && next.size < bulkMost) next.set(id, name);
          else if (!isOn) next.delete(id);
        }
        return next;
      }),
    [],
  );
  const [isSelectingAll, setSelectingAll] = useState(false);
  const selectAll = async () => {
    setSelectingAll(true);
    try {
      const all = await queryClient.fetchQuery(trpc.virtualService.rows.queryOptions({ ...asked, limit: bulkMost, offset: 0 }));
      setSelected(new Map(all.data.map(({ id, name }) => [id, name])));
    } finally {
      setSelectingAll(false);
    }
  };

  const { order, descending, sortBy } = filter;
  // Figures change every two seconds: the rows around them stand still.
  const table = useMemo(
    () => (
      <DataTable
        caption={t("title")}
        columns={columns}
        rows={shown ?? []}
        rowKey={(row) => row.id}
        sort={{ by: order, descending, onSort: (id) => sortBy(id as Order) }}
        selection={
          mayWrite
            ? {
                isSelected: ({ id }) => selected.has(id),
                toggle: select,
                labelOf: ({ name }) => t("select", { name }),
                allLabel: t("selectPage"),
              }
            : undefined
        }
      />
    ),
    [t, columns, shown, order, descending, sortBy, selected, select, mayWrite],
  );
  const { total = 0 } = rows.data ?? {};
  const isBeyond = shown?.length === 0 && filter.page > 0;
  return (
    <>
      <PageHeader
        title={t("title")}
        actions={
          <May scope="virtual-service:write">
            <Link href="/services/new" className={buttonStyle({ variant: "primary" })}>
              <Plus aria-hidden /> {t("create")}
            </Link>
          </May>
        }
      />
      <Card>
        {shown && shown.length === 0 && !filter.isSet && !isBeyond ? null : <FilterBar filter={filter} />}
        {shown === undefined ? (
          rows.error ? (
            <ProblemView error={rows.error} onRetry={() => void rows.refetch()} />
          ) : (
            <SkeletonRows label={common("loading")} />
          )
        ) : shown.length > 0 ? (
          <Figures.Provider value={counters}>
            <Sparks.Provider value={sparklines}>{table}</Sparks.Provider>
          </Figures.Provider>
        ) : isBeyond ? (
          <EmptyState
            icon={SearchX}
            title={t("noSuchPage")}
            action={<Button onClick={() => filter.turnTo(0)}>{t("firstPage")}</Button>}
          />
        ) : filter.isSet ? (
          <EmptyState icon={SearchX} title={t("noMatch")} action={<Button onClick={filter.clear}>{t("clearFilter")}</Button>}>
            {t("noMatchHint")}
          </EmptyState>
        ) : (
          <EmptyState
            icon={Network}
            title={t("empty")}
            action={
              <May scope="virtual-service:write">
                <Link href="/services/new" className={buttonStyle({ variant: "primary" })}>
                  <Plus aria-hidden /> {t("create")}
                </Link>
              </May>
            }
          >
            {t("emptyHint")}
          </EmptyState>
        )}
        {total > pageSize ? (
          <Pager
            page={filter.page}
            shown={shown?.length ?? 0}
            total={total}
            onTurn={filter.turnTo}
            isBusy={rows.isPlaceholderData}
          />
        ) : null}
        {selected.size > 0 ? (
          <BulkBar
            selected={selected}
            total={total}
            onSelectAll={() => void selectAll()}
            isSelectingAll={isSelectingAll}
            onClear={() => setSelected(new Map())}
          />
        ) : null}
      </Card>
    </>
  );
}

function Pager(props: { page: number; shown: number; total: number; isBusy: boolean; onTurn: (page: number) => void }) {
  const { page, shown, total, isBusy, onTurn } = props;
  const t = useTranslations("services");
  const first = page * pageSize;
  return (
    <nav aria-label={t("pages")} className="flex items-center justify-end gap-3 border-t px-4 py-2.5 text-sm">
      <p aria-live="polite" className="text-soft tabular-nums">
        {t("range", { first: first + 1, last: first + shown, total })}
      </p>
      <Button size="sm" disabled={page === 0} onClick={() => onTurn(page - 1)}>
        <ChevronLeft aria-hidden /> {t("previous")}
      </Button>
      <Button size="sm" disabled={first + pageSize >= total} loading={isBusy} onClick={() => onTurn(page + 1)}>
        {t("next")} <ChevronRight aria-hidden />
      </Button>
    </nav>
  );
}

interface Filter {
  query: string;
  forwarding: string;
  state: string;
  order: Order;
  descending: boolean;
  /** The first is 0. */
  page: number;
  isSet: boolean;
  set: (key: "q" | "forwarding" | "state", value: string) => void;
  /** Orders by it, or the other way round when it does already. */
  sortBy: (order: Order) => void;
  turnTo: (page: number) => void;
  clear: () => void;
}

/** Figures are looked at from the greatest, and states from the worst, which comes first anyway. */
const startsDescending = (order: Order) => order === "connections";

function useFilter(): Filter {
  const router = useRouter();
  const params = useSearchParams();
  const query = params.get("q") ?? "";
  const forwarding = params.get("forwarding") ?? "";
  const state = params.get("state") ?? "";
  const sort = params.get("sort") ?? "name";
  const order = orders.find((one) => one === sort.replace(/^-/, "")) ?? "name";
  const descending = sort.startsWith("-");
  const page = Math.max(0, Math.trunc(Number(params.get("page") ?? 1)) - 1) || 0;
  const go = useCallback(
    (change: Record<string, string | null>) => {
      const next = new URLSearchParams(window.location.search);
      for (const [key, value] of Object.entries(change)) {
        if (value) next.set(key, value);
        else next.delete(key);
      }
      router.replace(next.size > 0 ? `/services?${next}` : "/services", { scroll: false });
    },
    [router],
  );
  const sortBy = useCallback(
    (by: Order) => {
      const isDescending = by === order ? !descending : startsDescending(by);
      go({ sort: by === "name" && !isDescending ? null : `${isDescending ? "-" : ""}${by}`, page: null });
    },
    [go, order, descending],
  );
  return {
    ...{ query, forwarding, state, order, descending, page },
    isSet: Boolean(query || forwarding || state),
    set: (key, value) => go({ [key]: value, page: null }),
    sortBy,
    turnTo: (to) => {
      go({ page: to === 0 ? null : String(to + 1) });
      window.scrollTo({ top: 0 });
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
        {forwardings.map((forwarding) => (
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
        {syncStates.map((state) => (
          <option key={state} value={state}>
            {t(`sync.${state}`)}
          </option>
        ))}
      </Select>
      {/* The headers that order are not shown on a narrow screen. */}
      <Select
        aria-label={t("services.order")}
        className="w-44 sm:hidden"
        value={filter.order}
        onChange={(event) => filter.sortBy(event.target.value as Order)}
      >
        {orders.map((order) => (
          <option key={order} value={order}>
            {t(`services.orders.${order}`)}
          </option>
        ))}
      </Select>
    </div>
  );
}

const Figures = createContext<CountersById | undefined>(undefined);
const Sparks = createContext<ReadonlyMap<string, readonly (number | null)[]>>(new Map());

/** A figure of a service: it alone is drawn anew when it changes. */
function Live({ id, show }: { id: string; show: (counters: ServiceCountersView | undefined) => string }) {
  return <span className="whitespace-nowrap">{show(useContext(Figures)?.get(id))}</span>;
}

function Spark({ row }: { row: ServiceRow }) {
  const t = useTranslations("services");
  const values = useContext(Sparks).get(row.id);
  if (!values) return null;
  return <Sparkline className="h-6 w-24" label={t("trafficChart", { name: row.name })} series={[{ tone: "accent", values }]} />;
}

function useColumns(): Column<ServiceRow>[] {
  const t = useTranslations();
  return useMemo(
    (): Column<ServiceRow>[] => [
      {
        id: "name",
        sortable: true,
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
        id: "address",
        sortable: true,
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
        sortable: true,
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
        id: "admitted",
        sortable: true,
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
        sortable: true,
        header: t("services.connectionsPerSecond"),
        numeric: true,
        cell: ({ id }) => <Live id={id} show={(counters) => perSecond(counters?.rates.connectionsPerSecond)} />,
      },
      {
        id: "in",
        header: t("services.in"),
        numeric: true,
        cell: ({ id }) => <Live id={id} show={(counters) => bitRate(counters?.rates.inBytesPerSecond)} />,
      },
      {
        id: "out",
        header: t("services.out"),
        numeric: true,
        cell: (row) => <Live id={row.id} show={(counters) => bitRate(replyRate(row.forwarding, counters))} />,
      },
      {
        id: "traffic",
        hideNarrow: true,
        header: t("services.traffic"),
        cell: (row) => <Spark row={row} />,
      },
      { id: "state", sortable: true, header: t("services.sync"), cell: (row) => <SyncChip sync={row.sync} /> },
    ],
    [t],
  );
}
