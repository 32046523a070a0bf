"use client";
import type { TopologyView } from "@trigon/model";
import { Button, buttonStyle, Callout, Card, Chip, cn, EmptyState, SkeletonRows } from "@trigon/ui";
import { useSubscription } from "@trpc/tanstack-react-query";
import { Network, Plus, SearchX, Unplug } from "lucide-react";
import Link from "next/link";
import { useRouter, useSearchParams } from "next/navigation";
import { useEffect, useMemo, useState } from "react";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { SearchBox } from "../../components/search-box.tsx";
import { useVisible } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { Details } from "./details.tsx";
import { graphOf } from "./graph.ts";
import { LinkList } from "./link-list.tsx";
import { Legend, Picture } from "./picture.tsx";
import { useReason } from "./reason.ts";

type Param = "q" | "service" | "at" | "view" | "open";

/** The fleet as a live picture, and the same as a list. Everything that was chosen stands in the URL. */
export function TopologyPage() {
  const t = useTranslations("topology");
  const common = useTranslations("common");
  const create = useTranslations("services");
  const router = useRouter();
  const params = useSearchParams();
  const query = params.get("q") ?? "";
  const serviceId = params.get("service") ?? undefined;
  const { view, error, isStale, retry } = useTopology(query, serviceId);
  const set = (changes: Partial<Record<Param, string | null>>) => {
    const next = new URLSearchParams(window.location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    router.replace(next.size > 0 ? `/topology?${next}` : "/topology", { scroll: false });
  };
  const mode = params.get("view");
  return (
    <>
      <PageHeader
        title={t("title")}
        hint={t("hint")}
        chips={
          isStale && view ? (
            <Chip tone="warn" icon={Unplug}>
              {t("stale")}
            </Chip>
          ) : null
        }
      />
      <Card>
        <div className="flex flex-wrap items-center gap-2 border-b p-3">
          <SearchBox label={t("search")} value={query} onChange={(text) => set({ q: text, at: null })} />
          {serviceId ? (
            <span className="flex items-center gap-2 text-soft">
              {t("onlyOne")}
              <Button size="sm" onClick={() => set({ service: null, at: null })}>
                {t("showAll")}
              </Button>
            </span>
          ) : null}
          {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for form controls */}
          <div role="group" aria-label={t("view")} className="ml-auto hidden rounded-md border border-line p-0.5 md:flex">
            {(["picture", "list"] as const).map((one) => {
              const isOn = (mode === "list") === (one === "list");
              return (
                <button
                  key={one}
                  type="button"
                  aria-pressed={isOn}
                  className={cn("rounded px-3 py-1 font-medium text-soft hover:text-ink", isOn && "bg-accent-soft text-accent")}
                  onClick={() => set({ view: one === "list" ? "list" : null })}
                >
                  {t(one)}
                </button>
              );
            })}
          </div>
        </div>
        {view === undefined ? (
          error ? (
            <ProblemView error={error} onRetry={retry} />
          ) : (
            <SkeletonRows label={common("loading")} />
          )
        ) : view.services.length === 0 ? (
          query || serviceId ? (
            <EmptyState
              icon={SearchX}
              title={t("noMatch")}
              action={<Button onClick={() => set({ q: null, service: null, at: null })}>{t("clear")}</Button>}
            />
          ) : (
            <EmptyState
              icon={Network}
              title={t("empty")}
              action={
                <Link href="/services/new" className={buttonStyle({ variant: "primary" })}>
                  <Plus aria-hidden /> {create("create")}
                </Link>
              }
            >
              {t("emptyHint")}
            </EmptyState>
          )
        ) : (
          <Content view={view} isList={mode === "list"} at={params.get("at")} open={params.get("open")} set={set} />
        )}
      </Card>
    </>
  );
}

function Content(props: {
  view: TopologyView;
  isList: boolean;
  at: string | null;
  open: string | null;
  set: (changes: Partial<Record<Param, string | null>>) => void;
}) {
  const { view, isList, at, set } = props;
  const t = useTranslations("topology");
  const graph = useMemo(() => graphOf(view, new Set(props.open?.split(",") ?? [])), [view, props.open]);
  const chosen = at === null ? undefined : graph.nodes.find(({ key }) => key === at);
  const close = () => {
    set({ at: null });
    document.querySelector<HTMLElement>(`[data-node="${CSS.escape(at ?? "")}"]`)?.focus();
  };
  const notes = [
    view.total > view.services.length ? t("cut", { shown: view.services.length, total: view.total }) : null,
    graph.isCollapsed && !isList ? t("collapsed") : null,
  ].filter((note) => note !== null);
  return (
    <>
      {notes.length > 0 || props.open ? (
        <div className="border-b p-3">
          <Callout
            tone="info"
            title={notes.join(" ") || t("details")}
            action={
              props.open ? (
                <Button size="sm" onClick={() => set({ open: null, at: null })}>
                  {t("shut")}
                </Button>
              ) : undefined
            }
          />
        </div>
      ) : null}
      {/* A phone has no room for four columns: it gets the list. */}
      <div className={isList ? undefined : "md:hidden"}>
        <LinkList view={view} />
      </div>
      {isList ? null : (
        <div className="hidden md:block">
          <div className="xl:flex">
            <div className="min-w-0 flex-1 p-3">
              <Picture
                view={view}
                graph={graph}
                selected={chosen?.key ?? null}
                onSelect={(key) => set({ at: key === at ? null : key })}
              />
            </div>
            {chosen ? (
              <Details
                view={view}
                node={chosen}
                onSelect={(key) => set({ at: key })}
                onOpen={(key) => set({ open: [...(props.open?.split(",") ?? []), key].join(","), at: null })}
                onClose={close}
              />
            ) : null}
          </div>
          <Legend />
          <Troubles view={view} onSelect={(key) => set({ at: key })} />
        </div>
      )}
    </>
  );
}

const troublesMost = 6;

/** What stands in the way, in words: a grey line alone does not say why. */
function Troubles({ view, onSelect }: { view: TopologyView; onSelect: (key: string) => void }) {
  const t = useTranslations("topology");
  const reason = useReason();
  const links = view.links.filter(({ state }) => state === "broken" || state === "unknown");
  if (links.length === 0) return null;
  const names = new Map(view.services.map(({ id, name }) => [id, name]));
  return (
    <div className="border-t px-4 py-3">
      <h2 className="mb-1.5 font-medium">{t("troubles", { count: links.length })}</h2>
      <ul className="space-y-1">
        {links.slice(0, troublesMost).map((link) => (
          <li key={`${link.serviceId}${link.realServerId}`} className="flex flex-wrap items-baseline gap-x-2">
            <button
              type="button"
              className="rounded text-left font-medium text-accent hover:underline"
              onClick={() => onSelect(`server:${link.rip}`)}
            >
              {link.nodeName ?? link.rip}
            </button>
            <span className="text-soft">
              {names.get(link.serviceId)}: {reason(link)}
            </span>
          </li>
        ))}
        {links.length > troublesMost ? (
          <li className="text-soft">{t("moreTroubles", { count: links.length - troublesMost })}</li>
        ) : null}
      </ul>
    </div>
  );
}

/** The picture's data, pushed by the controller when something changed. What was there stays until the new answer comes. */
function useTopology(query: string, serviceId: string | undefined) {
  const trpc = useTRPC();
  const visible = useVisible();
  const input = { query: query || undefined, serviceId };
  const { data, error, status, reset } = useSubscription(trpc.topology.watch.subscriptionOptions(input, { enabled: visible }));
  const [last, setLast] = useState<TopologyView>();
  useEffect(() => {
    if (data) setLast(data);
  }, [data]);
  return {
    view: data ?? last,
    error,
    isStale: status === "error" || (status === "connecting" && error !== null),
    retry: reset,
  };
}
