"use client";
import { keepPreviousData, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { SearchHit } from "@trigon/model";
import { cn, toast } from "@trigon/ui";
import {
  ArrowRightLeft,
  History,
  Languages,
  LogOut,
  type LucideIcon,
  MonitorCog,
  Network,
  Plus,
  Rows3,
  Search,
  Server,
  Waypoints,
  Wrench,
} from "lucide-react";
import { useRouter } from "next/navigation";
import { Dialog } from "radix-ui";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useState } from "react";
import { useTranslations } from "use-intl";
import { themes, useDensity, useLanguage, useThemeChoice } from "../../components/preferences.tsx";
import { localeNames, locales } from "../../i18n/locale.ts";
import { signOut } from "../../lib/session.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { recentHits, remember } from "./recent.ts";
import { places } from "./shortcuts.ts";
import { means, readVerb } from "./verbs.ts";

interface Item {
  id: string;
  group: "recent" | "actions" | SearchHit["kind"];
  icon: LucideIcon;
  label: ReactNode;
  note?: ReactNode;
  /** The shortcut that does the same. */
  keys?: string;
  run: () => void;
}

/** Finds any object or address and does any action, by keyboard alone. */
export function Palette(props: { open: boolean; onOpenChange: (open: boolean) => void; onHelp: () => void }) {
  const t = useTranslations("palette");
  return (
    <Dialog.Root open={props.open} onOpenChange={props.onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="fixed inset-0 z-40 bg-black/45" />
        <Dialog.Content
          aria-describedby={undefined}
          className="fixed top-[12dvh] left-1/2 z-50 flex max-h-[76dvh] w-[min(40rem,calc(100vw-1.5rem))] -translate-x-1/2 flex-col overflow-hidden rounded-xl border border-line bg-surface shadow-high"
        >
          <Dialog.Title className="sr-only">{t("title")}</Dialog.Title>
          <Body onClose={() => props.onOpenChange(false)} onHelp={props.onHelp} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Body({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const t = useTranslations("palette");
  const trpc = useTRPC();
  const id = useId();
  const [text, setText] = useState("");
  const { verb, rest } = readVerb(text);
  const asked = useSettled(rest, 120);
  const found = useQuery({
    ...trpc.search.find.queryOptions({ q: asked.slice(0, 200) }),
    enabled: asked !== "",
    placeholderData: keepPreviousData,
  });
  const hits = rest === "" ? [] : (found.data?.data ?? []);
  const items = useItems({ text, verb, hits, onClose, onHelp });
  const [at, setAt] = useState(0);
  const chosen = Math.min(at, items.length - 1);
  const isSearching = rest !== "" && (asked !== rest || found.isFetching);
  // Enter means what was typed, not what is still shown of an earlier word: it waits for the answer.
  const [isEntered, setEntered] = useState(false);
  const best = items[chosen];
  useEffect(() => {
    if (!isEntered || isSearching) return;
    setEntered(false);
    best?.run();
  }, [isEntered, isSearching, best]);
  const optionId = (index: number) => `${id}-${index}`;
  function onKeyDown(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0 && items.length > 0) {
      event.preventDefault();
      const next = (chosen + step + items.length) % items.length;
      setAt(next);
      document.getElementById(optionId(next))?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      setEntered(true);
    }
  }
  return (
    <>
      <div className="flex items-center gap-2.5 border-b px-4">
        <Search aria-hidden className="size-4 shrink-0 text-soft" />
        <input
          // biome-ignore lint/a11y/noAutofocus: the dialog is this field
          autoFocus
          role="combobox"
          aria-expanded
          aria-controls={`${id}-list`}
          aria-activedescendant={items.length > 0 ? optionId(chosen) : undefined}
          aria-autocomplete="list"
          aria-label={t("title")}
          placeholder={t("placeholder")}
          className="h-12 min-w-0 flex-1 bg-transparent outline-none placeholder:text-soft focus-visible:outline-none"
          spellCheck={false}
          autoComplete="off"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
            setEntered(false);
          }}
          onKeyDown={onKeyDown}
        />
        <kbd className="hidden rounded border border-line px-1.5 py-0.5 text-soft text-xs sm:block">Esc</kbd>
      </div>
      <div id={`${id}-list`} role="listbox" aria-label={t("results")} className="overflow-y-auto p-1.5">
        {groupsOf(items).map(([group, members]) => (
          // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be part of a listbox
          <div key={group} role="group" aria-label={t(`groups.${group}`)}>
            <p aria-hidden className="px-2.5 pt-2 pb-1 text-soft text-xs">
              {t(`groups.${group}`)}
              {group === "realServer" && found.data?.address ? ` · ${t("usedBy", { address: found.data.address })}` : null}
            </p>
            {members.map(({ item, index }) => (
              <Option key={item.id} id={optionId(index)} item={item} isChosen={index === chosen} onPoint={() => setAt(index)} />
            ))}
          </div>
        ))}
      </div>
      {items.length === 0 ? (
        <p className="px-4 py-8 text-center text-soft">
          {found.error ? t("failed") : isSearching ? t("searching") : t("nothing", { query: rest || text })}
        </p>
      ) : null}
      <p role="status" className="sr-only">
        {isSearching ? "" : t("count", { count: items.length })}
      </p>
    </>
  );
}

function Option(props: { id: string; item: Item; isChosen: boolean; onPoint: () => void }) {
  const { icon: Icon, label, note, keys, run } = props.item;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the focus and takes the keys
    <div
      id={props.id}
      role="option"
      aria-selected={props.isChosen}
      tabIndex={-1}
      className={cn("flex cursor-default items-center gap-2.5 rounded-md px-2.5 py-2", props.isChosen && "bg-accent-soft")}
      onClick={run}
      onMouseMove={props.onPoint}
    >
      <Icon aria-hidden className="size-4 shrink-0 text-soft" />
      <span className="min-w-0 flex-1 truncate">{label}</span>
      {note ? <span className="shrink-0 truncate font-mono text-soft text-xs">{note}</span> : null}
      {keys ? <kbd className="shrink-0 rounded border border-line px-1.5 text-soft text-xs">{keys}</kbd> : null}
    </div>
  );
}

/** Items in the order of their groups, each with its place in the whole list. */
function groupsOf(items: readonly Item[]): [Item["group"], { item: Item; index: number }[]][] {
  const groups = new Map<Item["group"], { item: Item; index: number }[]>();
  items.forEach((item, index) => {
    const members = groups.get(item.group) ?? [];
    members.push({ item, index });
    groups.set(item.group, members);
  });
  return [...groups];
}

const kindLooks: Record<SearchHit["kind"], LucideIcon> = {
  virtualService: Network,
  realServer: ArrowRightLeft,
  node: Server,
  directorGroup: Waypoints,
  change: History,
};
const order: SearchHit["kind"][] = ["virtualService", "realServer", "node", "directorGroup", "change"];

function useItems(input: {
  text: string;
  verb: "maintenance" | null;
  hits: readonly SearchHit[];
  onClose: () => void;
  onHelp: () => void;
}): Item[] {
  const { text, verb, hits } = input;
  const t = useTranslations();
  const router = useRouter();
  const actions = useActions(input.onClose, input.onHelp);
  const maintain = useMaintain(input.onClose);
  const open = (hit: SearchHit) => () => {
    remember(hit);
    input.onClose();
    router.push(hrefOf(hit));
  };
  const itemOf = (hit: SearchHit, group: Item["group"]): Item => ({
    id: `${group} ${hit.kind} ${hit.id} ${hit.address}`,
    group,
    icon: kindLooks[hit.kind],
    label: hit.kind === "realServer" ? t("palette.realServerOf", { service: hit.name }) : hit.name,
    note: hit.kind === "change" ? hit.id : (hit.address ?? undefined),
    run: open(hit),
  });
  if (verb) {
    const nodes = hits.filter(({ kind, role }) => kind === "node" && role === "realServer");
    return nodes.flatMap((node) =>
      (["begin", "end"] as const).map(
        (which): Item => ({
          id: `${which} ${node.id}`,
          group: "actions",
          icon: Wrench,
          label: t(`palette.maintenance.${which}`, { name: node.name }),
          note: node.address ?? undefined,
          run: () => maintain(which, node.id, node.name),
        }),
      ),
    );
  }
  if (text.trim() === "") {
    const recent = recentHits().map((hit) => itemOf(hit, "recent"));
    return [...recent, ...actions.slice(0, 12 - recent.length)];
  }
  const found = order.flatMap((kind) => hits.filter((hit) => hit.kind === kind).map((hit) => itemOf(hit, kind)));
  return [...found, ...actions.filter(({ names }) => means(text, ...names))];
}

/** Where a found thing is. */
function hrefOf({ kind, id }: SearchHit): string {
  switch (kind) {
    case "virtualService":
    case "realServer":
      return `/services/${id}`;
    case "node":
      return `/nodes/${id}`;
    case "directorGroup":
      return "/settings";
    case "change":
      return `/changes?q=${id}`;
  }
}

function useActions(onClose: () => void, onHelp: () => void): (Item & { names: string[] })[] {
  const t = useTranslations();
  const router = useRouter();
  const [theme, setTheme] = useThemeChoice();
  const [locale, setLocale] = useLanguage();
  const [density, setDensity] = useDensity();
  const make = (id: string, icon: LucideIcon, label: string, run: () => void, english: string, keys?: string) => ({
    ...{ id, group: "actions" as const, icon, label, keys, names: [label, english] },
    run: () => {
      onClose();
      run();
    },
  });
  const go = (to: string, icon: LucideIcon, label: string, english: string, keys?: string) =>
    make(`go ${to}`, icon, label, () => router.push(to), english, keys);
  const pages = [
    ["/services", "services"],
    ["/nodes", "nodes"],
    ["/topology", "topology"],
    ["/", "overview"],
    ["/changes", "changes"],
    ["/events", "events"],
    ["/audit", "audit"],
    ["/settings", "settings"],
    ["/help", "help"],
  ] as const;
  return [
    go("/services/new", Plus, t("services.create"), "create new service", "c"),
    go("/nodes/enroll", Plus, t("nodes.enroll"), "enroll add node director real server"),
    ...pages.map(([to, key]) => go(to, Search, t("palette.goTo", { page: t(`nav.${key}`) }), `go to ${key}`, `g ${keyOf(to)}`)),
    ...themes
      .filter(({ value }) => value !== theme)
      .map(({ value }) =>
        make(
          `theme ${value}`,
          MonitorCog,
          `${t("preferences.theme")}: ${t(`preferences.themes.${value}`)}`,
          () => setTheme(value),
          `theme ${value}`,
        ),
      ),
    ...locales
      .filter((one) => one !== locale)
      .map((one) =>
        make(`language ${one}`, Languages, localeNames[one], () => setLocale(one), "language 语言 english chinese 中文"),
      ),
    make(
      "density",
      Rows3,
      `${t("preferences.density")}: ${t(`preferences.densities.${density === "compact" ? "normal" : "compact"}`)}`,
      () => setDensity(density === "compact" ? "normal" : "compact"),
      "density compact normal",
    ),
    make("help", MonitorCog, t("palette.shortcuts"), onHelp, "keyboard shortcuts help", "?"),
    make("signOut", LogOut, t("session.signOut"), () => void signOut(), "sign out log out"),
  ];
}

function keyOf(to: string): string {
  return Object.entries(places).find(([, path]) => path === to)?.[0] ?? "";
}

/** Drains a node everywhere, or brings it back, and says so. */
function useMaintain(onClose: () => void) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const options = {
    onSuccess: () => void queryClient.invalidateQueries(),
    onError: () => void toast.error(t("service.notSaved")),
  };
  const begin = useMutation(trpc.node.beginMaintenance.mutationOptions(options));
  const end = useMutation(trpc.node.endMaintenance.mutationOptions(options));
  return (which: "begin" | "end", id: string, name: string) => {
    onClose();
    const done = () => void toast.success(t(which === "begin" ? "maintenance.begun" : "maintenance.ended", { name }));
    (which === "begin" ? begin : end).mutate({ id }, { onSuccess: done });
  };
}

/** A value once it has stood still. */
function useSettled(value: string, ms: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
