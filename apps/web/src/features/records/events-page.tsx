"use client";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { EventTopic, type EventView } from "@trigon/model";
import { Button, Card, type Column, DataTable, EmptyState, Select, SkeletonRows } from "@trigon/ui";
import { ListFilter, ScrollText } from "lucide-react";
import { useRouter, useSearchParams } from "next/navigation";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { Moment } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { live, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** What happened, newest first: drift, health, takeovers, changes and nodes in one list. The filter lives in the URL. */
export function EventsPage() {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const params = useSearchParams();
  const topic = EventTopic.options.find((one) => one === params.get("topic"));
  const object = params.get("object") ?? undefined;
  const go = (change: Record<string, string | null>) => {
    const next = new URLSearchParams(window.location.search);
    for (const [key, value] of Object.entries(change)) {
      if (value) next.set(key, value);
      else next.delete(key);
    }
    router.replace(next.size > 0 ? `/events?${next}` : "/events", { scroll: false });
  };
  const events = useInfiniteQuery(
    trpc.event.list.infiniteQueryOptions(
      { topic, object, limit: 100 },
      { ...live, getNextPageParam: (page) => page.nextCursor ?? undefined, placeholderData: keepPreviousData },
    ),
  );
  useWatch("node");
  const columns = useColumns();
  const rows = events.data?.pages.flatMap(({ data }) => data);
  const isFiltered = topic !== undefined || object !== undefined;
  const name = object && (rows?.find(({ objectId }) => objectId === object)?.objectName ?? object);
  return (
    <>
      <PageHeader title={t("events.title")} hint={t("events.hint")} />
      <Card>
        <div className="flex flex-wrap items-center gap-2 border-b p-3">
          <Select
            aria-label={t("events.topic")}
            className="w-56"
            value={topic ?? ""}
            onChange={(event) => go({ topic: event.target.value })}
          >
            <option value="">{t("events.anyTopic")}</option>
            {EventTopic.options.map((one) => (
              <option key={one} value={one}>
                {t(`events.topics.${one}`)}
              </option>
            ))}
          </Select>
          {object ? (
            <Button size="sm" onClick={() => go({ object: null })}>
              <ListFilter aria-hidden /> {t("events.onlyOf", { name: name ?? object })}
            </Button>
          ) : null}
        </div>
        {rows === undefined ? (
          events.error ? (
            <ProblemView error={events.error} onRetry={() => void events.refetch()} />
          ) : (
            <SkeletonRows label={t("common.loading")} />
          )
        ) : rows.length === 0 ? (
          <EmptyState
            icon={ScrollText}
            title={t(isFiltered ? "events.noMatch" : "events.empty")}
            action={
              isFiltered ? <Button onClick={() => router.replace("/events")}>{t("services.clearFilter")}</Button> : undefined
            }
          />
        ) : (
          <DataTable caption={t("events.title")} columns={columns} rows={rows} rowKey={(event) => event.id} />
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

function useColumns(): Column<EventView>[] {
  const t = useTranslations();
  const say = useSay();
  return [
    { id: "at", header: t("audit.at"), isRowHeader: true, cell: (event) => <Moment at={event.at} /> },
    {
      id: "kind",
      header: t("audit.event"),
      cell: (event) => (
        <span className="font-medium">{say(event.source === "node" ? "agentEvent" : "auditEvent", event.kind, event.kind)}</span>
      ),
    },
    { id: "object", header: t("audit.object"), cell: (event) => <ObjectLink event={event} /> },
    { id: "actor", header: t("audit.actor"), cell: (event) => event.actor ?? <span className="text-soft">–</span> },
    {
      id: "message",
      header: t("audit.detail"),
      cell: (event) => <span className="break-words text-soft text-xs">{event.message}</span>,
    },
  ];
}

/** Ids say what they name: `vs_…` is a service, `node_…` a node, `dg_…` a group. */
function ObjectLink({ event: { objectId, objectName } }: { event: EventView }) {
  if (objectId === null) return <span className="text-soft">–</span>;
  const place = { vs: "services", node: "nodes", dg: "groups" }[objectId.split("_")[0]!];
  const name = <span className="break-all">{objectName ?? objectId}</span>;
  // What has no name any more has no page either.
  return place && objectName ? <TextLink href={`/${place}/${objectId}`}>{name}</TextLink> : name;
}
