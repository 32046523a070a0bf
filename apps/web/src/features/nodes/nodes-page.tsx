"use client";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import type { NodeView } from "@trigon/model";
import { Button, buttonStyle, Card, Chip, type Column, DataTable, EmptyState, SkeletonRows } from "@trigon/ui";
import { Crown, Plus, SearchX, Server } from "lucide-react";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { SearchBox } from "../../components/search-box.tsx";
import { SyncChip } from "../../components/sync.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";
import { live, useWatch } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { NodeStateChip } from "./node-state.tsx";

/** Every node, directors and real servers alike. */
export function NodesPage() {
  const t = useTranslations("nodes");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const router = useRouter();
  const query = useSearchParams().get("q") ?? "";
  const nodes = useInfiniteQuery(
    trpc.node.list.infiniteQueryOptions(
      { limit: 200, query: query || undefined },
      { ...live, getNextPageParam: (page) => page.nextCursor ?? undefined, placeholderData: keepPreviousData },
    ),
  );
  useWatch("node");
  const columns = useColumns();
  const rows = nodes.data?.pages.flatMap((page) => page.data);
  const enroll = (
    <May scope="node:enroll">
      <Link href="/nodes/enroll" className={buttonStyle({ variant: "primary" })}>
        <Plus aria-hidden /> {t("enroll")}
      </Link>
    </May>
  );
  return (
    <>
      <PageHeader title={t("title")} actions={enroll} />
      <Card>
        {rows && rows.length === 0 && !query ? null : (
          <div className="border-b p-3">
            <SearchBox
              label={t("search")}
              value={query}
              onChange={(text) => router.replace(text ? `/nodes?q=${encodeURIComponent(text)}` : "/nodes", { scroll: false })}
            />
          </div>
        )}
        {rows === undefined ? (
          nodes.error ? (
            <ProblemView error={nodes.error} onRetry={() => void nodes.refetch()} />
          ) : (
            <SkeletonRows label={common("loading")} />
          )
        ) : rows.length > 0 ? (
          <DataTable caption={t("title")} columns={columns} rows={rows} rowKey={(row) => row.id} />
        ) : query ? (
          <EmptyState
            icon={SearchX}
            title={t("noMatch")}
            action={<Button onClick={() => router.replace("/nodes")}>{t("clearSearch")}</Button>}
          />
        ) : (
          <EmptyState icon={Server} title={t("empty")} action={enroll}>
            {t("emptyHint")}
          </EmptyState>
        )}
        {nodes.hasNextPage ? (
          <div className="border-t p-3 text-center">
            <Button loading={nodes.isFetchingNextPage} onClick={() => void nodes.fetchNextPage()}>
              {common("loadMore")}
            </Button>
          </div>
        ) : null}
      </Card>
    </>
  );
}

function useColumns(): Column<NodeView>[] {
  const t = useTranslations();
  return [
    {
      id: "name",
      header: t("nodes.node"),
      isRowHeader: true,
      cell: (node) => (
        <TextLink href={`/nodes/${node.id}`} className="break-words">
          {node.name}
        </TextLink>
      ),
    },
    {
      id: "role",
      header: t("nodes.role"),
      cell: (node) => (
        <span className="inline-flex flex-wrap items-center gap-1.5">
          {t(`role.${node.role}`)}
          {node.isActiveDirector ? (
            <Chip tone="busy" icon={Crown}>
              {t("nodes.holdsVips")}
            </Chip>
          ) : null}
        </span>
      ),
    },
    {
      id: "addresses",
      header: t("nodes.addresses"),
      cell: (node) => (
        <span className="font-mono text-[0.8125rem]">
          {node.addresses.slice(0, 2).join(", ") || "–"}
          {node.addresses.length > 2 ? <span className="text-soft"> +{node.addresses.length - 2}</span> : null}
        </span>
      ),
    },
    { id: "state", header: t("nodes.state"), cell: (node) => <NodeStateChip node={node} /> },
    {
      id: "seen",
      header: t("nodes.lastSeen"),
      cell: (node) => (node.lastSeenAt ? <When at={node.lastSeenAt} /> : t("nodes.never")),
    },
    { id: "version", header: t("nodes.agent"), cell: (node) => node.agentVersion ?? "–" },
    { id: "sync", header: t("services.sync"), cell: (node) => <SyncChip sync={node.sync} /> },
  ];
}
