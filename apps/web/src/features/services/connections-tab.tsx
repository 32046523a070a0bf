"use client";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { type ConnectionEntry, type ConnectionTableView, endpoint, type VirtualServiceView } from "@trigon/model";
import {
  Button,
  Callout,
  Card,
  CardHeader,
  Chip,
  type Column,
  DataTable,
  EmptyState,
  Input,
  Select,
  SkeletonRows,
} from "@trigon/ui";
import { Cable, Pause, Pin, Play, SearchX, Unplug } from "lucide-react";
import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, useState } from "react";
import { useFormatter, useTranslations } from "use-intl";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { useFieldSentence } from "../../lib/form.ts";
import { problemOf } from "../../lib/problem.ts";
import { useTRPC } from "../../lib/trpc.ts";

const everyMs = 2_000;
const limit = 200;
const sorts = [
  "client",
  "clientDescending",
  "realServer",
  "realServerDescending",
  "state",
  "stateDescending",
  "expires",
  "expiresDescending",
] as const;
type Sort = (typeof sorts)[number];
const kinds = ["connections", "templates"] as const;

/** Who is connected and pinned where, as the director that holds the VIP says. Read anew while it is looked at, unless held still. */
export function ConnectionsTab({ view }: { view: VirtualServiceView }) {
  const t = useTranslations("connections");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const filter = useFilter(view.id);
  const [isLive, setLive] = useState(true);
  const table = useQuery({
    ...trpc.virtualService.connections.queryOptions({
      ...{ id: view.id, sort: filter.sort.replace(/^(.*)Descending$/, "-$1"), limit },
      client: filter.client || undefined,
      realServer: filter.realServer || undefined,
      state: filter.state || undefined,
      templates: filter.kind === "templates" ? true : filter.kind === "connections" ? false : undefined,
    }),
    placeholderData: keepPreviousData,
    refetchInterval: isLive ? everyMs : false,
    retry: false,
  });
  const columns = useColumns();
  const { data, error } = table;
  // A wrong filter is said at its field, over what was last read.
  const isWrongInput = error !== null && problemOf(error).fields.some(({ pointer }) => pointer === "/client");
  return (
    <Card>
      <CardHeader
        title={t("title")}
        hint={data ? <Summary table={data} /> : t("hint")}
        actions={
          <Button size="sm" aria-pressed={isLive} onClick={() => setLive(!isLive)}>
            {isLive ? <Pause aria-hidden /> : <Play aria-hidden />} {isLive ? t("hold") : t("follow")}
          </Button>
        }
      />
      <FilterBar view={view} filter={filter} states={data?.states ?? []} isWrongClient={isWrongInput} />
      {error && data && !isWrongInput ? (
        <div className="p-3">
          <ProblemCallout error={error} />
        </div>
      ) : null}
      {data?.isSample ? (
        <Callout tone="info" title={t("sample")} className="m-3">
          {t("sampleHint", { count: data.total })}
        </Callout>
      ) : null}
      {data === undefined ? (
        error ? (
          <NoAnswer error={error} onRetry={() => void table.refetch()} />
        ) : (
          <SkeletonRows label={common("loading")} />
        )
      ) : data.entries.length > 0 ? (
        <>
          <Shares table={data} />
          <DataTable caption={t("title")} columns={columns} rows={data.entries} rowKey={keyOf} />
          {data.matched > data.entries.length ? (
            <p className="border-t px-4 py-3 text-soft text-sm">
              {t("more", { shown: data.entries.length, matched: data.matched })}
            </p>
          ) : null}
        </>
      ) : filter.isSet ? (
        <EmptyState icon={SearchX} title={t("noMatch")} action={<Button onClick={filter.clear}>{t("clearFilter")}</Button>}>
          {t("noMatchHint", { total: data.total })}
        </EmptyState>
      ) : (
        <EmptyState icon={Cable} title={t("empty")}>
          {t("emptyHint")}
        </EmptyState>
      )}
    </Card>
  );
}

const keyOf = ({ client, clientPort, realServer }: ConnectionEntry) =>
  `${client} ${clientPort} ${realServer.rip} ${realServer.port}`;

/** The director is out of reach, or nobody holds the VIP: that is no failure of the page. */
function NoAnswer({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  const t = useTranslations("connections");
  const errors = useTranslations("errors");
  const sentence = useFieldSentence();
  const { code, detail, fields } = problemOf(error);
  if (code !== "node.notConnected" && code !== "node.noAnswer") return <ProblemView error={error} onRetry={onRetry} />;
  return (
    <EmptyState icon={Unplug} title={t("noAnswer")} action={<Button onClick={onRetry}>{errors("retry")}</Button>}>
      {fields[0] ? sentence(fields[0]) : detail}
    </EmptyState>
  );
}

function Summary({ table }: { table: ConnectionTableView }) {
  const t = useTranslations("connections");
  return (
    <>
      {t.rich("from", {
        node: () => <TextLink href={`/nodes/${table.nodeId}`}>{table.nodeName}</TextLink>,
        total: table.total,
      })}
    </>
  );
}

/** How many each real server has, of all, whatever the filter. */
function Shares({ table }: { table: ConnectionTableView }) {
  const t = useTranslations("connections");
  return (
    <ul aria-label={t("perRealServer")} className="flex flex-wrap gap-x-5 gap-y-1 border-b px-4 py-2 text-sm">
      {table.realServers.map(({ rip, port, connections, templates }) => (
        <li key={`${rip} ${port}`}>
          <span className="font-mono text-[0.8125rem]">{endpoint(rip, port)}</span>{" "}
          <span className="text-soft tabular-nums">{t("share", { connections, templates })}</span>
        </li>
      ))}
    </ul>
  );
}

interface Filter {
  client: string;
  realServer: string;
  state: string;
  kind: string;
  sort: Sort;
  isSet: boolean;
  set: (key: "client" | "realServer" | "state" | "kind" | "sort", value: string) => void;
  clear: () => void;
}

/** In the URL, so that it can be linked to and survives a reload. */
function useFilter(id: string): Filter {
  const router = useRouter();
  const params = useSearchParams();
  const [client, realServer, state] = (["client", "realServer", "state"] as const).map((name) => params.get(name) ?? "") as [
    string,
    string,
    string,
  ];
  const kind = kinds.find((one) => one === params.get("kind")) ?? "";
  const base = `/services/${id}?tab=connections`;
  return {
    ...{ client, realServer, state, kind },
    sort: sorts.find((one) => one === params.get("sort")) ?? "client",
    isSet: Boolean(client || realServer || state || kind),
    set: (key, value) => {
      const next = new URLSearchParams(window.location.search);
      if (value) next.set(key, value);
      else next.delete(key);
      router.replace(`/services/${id}?${next}`, { scroll: false });
    },
    clear: () => router.replace(base, { scroll: false }),
  };
}

function FilterBar(props: {
  view: VirtualServiceView;
  filter: Filter;
  states: ConnectionTableView["states"];
  isWrongClient: boolean;
}) {
  const { view, filter, states, isWrongClient } = props;
  const t = useTranslations("connections");
  const [text, setText] = useState(filter.client);
  useEffect(() => setText(filter.client), [filter.client]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the clock
  useEffect(() => {
    if (text === filter.client) return;
    const timer = setTimeout(() => filter.set("client", text.trim()), 400);
    return () => clearTimeout(timer);
  }, [text]);
  const rips = [...new Set(view.realServers.map(({ rip }) => rip))];
  const known = states.map(({ state }) => state);
  const isWrong = isWrongClient && text !== "";
  return (
    <div className="border-b p-3">
      <div className="flex flex-wrap gap-2">
        <Input
          type="search"
          aria-label={t("client")}
          aria-invalid={isWrong || undefined}
          aria-describedby={isWrong ? "connections-client-wrong" : undefined}
          placeholder={t("clientExample")}
          className="min-w-48 flex-1 sm:max-w-72"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <Select
          aria-label={t("realServer")}
          className="w-44"
          value={filter.realServer}
          onChange={(event) => filter.set("realServer", event.target.value)}
        >
          <option value="">{t("anyRealServer")}</option>
          {rips.map((rip) => (
            <option key={rip}>{rip}</option>
          ))}
        </Select>
        <Select
          aria-label={t("state")}
          className="w-40"
          value={filter.state}
          onChange={(event) => filter.set("state", event.target.value)}
        >
          <option value="">{t("anyState")}</option>
          {[...new Set([...known, ...(filter.state ? [filter.state] : [])])].map((state) => (
            <option key={state}>{state}</option>
          ))}
        </Select>
        <Select
          aria-label={t("kind")}
          className="w-48"
          value={filter.kind}
          onChange={(event) => filter.set("kind", event.target.value)}
        >
          <option value="">{t("anyKind")}</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {t(`kinds.${kind}`)}
            </option>
          ))}
        </Select>
        <Select
          aria-label={t("sort")}
          className="w-56"
          value={filter.sort}
          onChange={(event) => filter.set("sort", event.target.value === "client" ? "" : event.target.value)}
        >
          {sorts.map((sort) => (
            <option key={sort} value={sort}>
              {t(`sorts.${sort}`)}
            </option>
          ))}
        </Select>
      </div>
      {isWrong ? (
        <p id="connections-client-wrong" role="alert" className="mt-1.5 text-bad text-sm">
          {t("clientWrong", { text })}
        </p>
      ) : null}
    </div>
  );
}

function useColumns(): Column<ConnectionEntry>[] {
  const t = useTranslations("connections");
  const format = useFormatter();
  return [
    {
      id: "client",
      header: t("client"),
      isRowHeader: true,
      cell: ({ client, clientPort }) =>
        clientPort === null ? (
          <span className="inline-flex flex-wrap items-center gap-1.5">
            <span className="font-mono text-[0.8125rem]">{client}</span>
            <Chip icon={Pin}>{t("template")}</Chip>
          </span>
        ) : (
          <span className="break-all font-mono text-[0.8125rem]">{endpoint(client, clientPort)}</span>
        ),
    },
    {
      id: "realServer",
      header: t("realServer"),
      cell: ({ realServer: { rip, port } }) => <span className="font-mono text-[0.8125rem]">{endpoint(rip, port)}</span>,
    },
    {
      id: "state",
      header: t("state"),
      cell: ({ state, clientPort }) =>
        clientPort === null ? <span className="text-soft">–</span> : <span className="font-mono text-[0.8125rem]">{state}</span>,
    },
    {
      id: "expires",
      header: t("expires"),
      numeric: true,
      cell: ({ expiresInSeconds }) => t("seconds", { seconds: format.number(expiresInSeconds) }),
    },
  ];
}
