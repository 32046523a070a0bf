"use client";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { AuditEventView } from "@trigon/model";
import { Button, Card, type Column, DataTable, EmptyState, SkeletonRows } from "@trigon/ui";
import { ScrollText, SearchX } from "lucide-react";
import { useRouter, useSearchParams } from "next/navigation";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { SearchBox } from "../../components/search-box.tsx";
import { Moment } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** Who did what, append-only: sign-ins, tokens, enrollments and every write, with the request it came by. */
export function AuditPage() {
  const t = useTranslations();
  const say = useSay();
  const trpc = useTRPC();
  const router = useRouter();
  const query = useSearchParams().get("q") ?? "";
  const setQuery = (text: string) => router.replace(text ? `/audit?q=${encodeURIComponent(text)}` : "/audit", { scroll: false });
  const events = useInfiniteQuery(
    trpc.audit.list.infiniteQueryOptions(
      { limit: 100, query: query || undefined },
      { refetchInterval: 10_000, getNextPageParam: (page) => page.nextCursor ?? undefined, placeholderData: keepPreviousData },
    ),
  );
  const rows = events.data?.pages.flatMap((page) => page.data);
  const columns: Column<AuditEventView>[] = [
    { id: "at", header: t("audit.at"), isRowHeader: true, cell: (event) => <Moment at={event.at} /> },
    { id: "actor", header: t("audit.actor"), cell: (event) => event.actor },
    {
      id: "event",
      header: t("audit.event"),
      cell: (event) => (
        <span>
          {say("auditEvent", event.event, event.event)}
          <span className="block font-mono text-soft text-xs">{event.event}</span>
        </span>
      ),
    },
    {
      id: "object",
      header: t("audit.object"),
      cell: (event) => <span className="break-all font-mono text-xs">{event.objectId ?? "–"}</span>,
    },
    {
      id: "detail",
      header: t("audit.detail"),
      cell: (event) => <span className="break-all font-mono text-soft text-xs">{detailOf(event.detail)}</span>,
    },
    {
      id: "request",
      header: t("audit.request"),
      cell: (event) => <span className="break-all font-mono text-soft text-xs">{event.requestId ?? "–"}</span>,
    },
  ];
  return (
    <>
      <PageHeader title={t("audit.title")} hint={t("audit.hint")} />
      <Card>
        {query || rows?.length !== 0 ? (
          <div className="border-b p-3">
            <SearchBox label={t("audit.search")} value={query} onChange={setQuery} />
          </div>
        ) : null}
        {rows === undefined ? (
          events.error ? (
            <ProblemView error={events.error} onRetry={() => void events.refetch()} />
          ) : (
            <SkeletonRows label={t("common.loading")} />
          )
        ) : rows.length === 0 && query ? (
          <EmptyState
            icon={SearchX}
            title={t("audit.noMatch")}
            action={<Button onClick={() => setQuery("")}>{t("services.clearFilter")}</Button>}
          />
        ) : rows.length === 0 ? (
          <EmptyState icon={ScrollText} title={t("audit.empty")} />
        ) : (
          <DataTable caption={t("audit.title")} columns={columns} rows={rows} rowKey={(event) => event.id} />
        )}
        {events.hasNextPage ? (
          <div className="border-t p-3 text-center">
            <Button loading={events.isFetchingNextPage} onClick={() => void events.fetchNextPage()}>
              {t("common.loadMore")}
            </Button>
          </div>
        ) : null}
      </Card>
    </>
  );
}

function detailOf(detail: Record<string, unknown>): string {
  return Object.entries(detail)
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");
}
