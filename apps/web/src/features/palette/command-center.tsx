"use client";
import { Button, Dialog } from "@trigon/ui";
import { Search } from "lucide-react";
import { usePathname, useRouter } from "next/navigation";
import { useEffect, useRef, useState } from "react";
import { useTranslations } from "use-intl";
import { Palette } from "./palette.tsx";
import { type Command, places, prefixMs, readKey, targetOf } from "./shortcuts.ts";

/** The search button of the top bar, the palette that it opens, and the console's keyboard shortcuts. */
export function CommandCenter() {
  const t = useTranslations("palette");
  const router = useRouter();
  const pathname = usePathname();
  const [isOpen, setOpen] = useState(false);
  const [isHelp, setHelp] = useState(false);
  const [commandKey, setCommandKey] = useState("Ctrl");
  useEffect(() => setCommandKey(/Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘" : "Ctrl"), []);
  const pendingSince = useRef(0);
  useEffect(() => {
    function run(command: Command) {
      switch (command.do) {
        case "palette":
          return setOpen((open) => !open);
        case "help":
          return setHelp(true);
        case "go":
          return router.push(command.to);
        case "filter": {
          const field = document.querySelector<HTMLInputElement>('main input[type="search"]');
          if (!field) return setOpen(true);
          field.focus();
          return field.select();
        }
        case "create":
        case "edit": {
          const to = targetOf(command.do, pathname);
          if (to) router.push(to);
        }
      }
    }
    function onKeyDown(event: KeyboardEvent) {
      const { pending, command } = readKey(Date.now() - pendingSince.current < prefixMs, {
        key: event.key,
        isCommand: event.ctrlKey || event.metaKey,
        isAlt: event.altKey,
        isBusy: event.isComposing || isBusy(event.target),
      });
      pendingSince.current = pending ? Date.now() : 0;
      if (!command) return;
      event.preventDefault();
      run(command);
    }
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [router, pathname]);
  return (
    <>
      <Button
        variant="secondary"
        size="sm"
        className="max-sm:border-0 max-sm:shadow-none sm:w-56 sm:justify-start sm:text-soft"
        aria-keyshortcuts="Control+K Meta+K"
        onClick={() => setOpen(true)}
      >
        <Search aria-hidden />
        <span className="max-sm:sr-only">{t("button")}</span>
        <kbd aria-hidden className="ml-auto hidden rounded border border-line px-1.5 font-sans text-xs sm:inline">
          {commandKey} K
        </kbd>
      </Button>
      <Palette open={isOpen} onOpenChange={setOpen} onHelp={() => setHelp(true)} />
      <ShortcutList open={isHelp} onOpenChange={setHelp} commandKey={commandKey} />
    </>
  );
}

/** Somebody types, or something modal is open: a letter is a letter there. */
function isBusy(target: EventTarget | null): boolean {
  if (document.querySelector('[role="dialog"], [role="alertdialog"], [role="menu"]')) return true;
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

/** What `?` shows. */
function ShortcutList(props: { open: boolean; onOpenChange: (open: boolean) => void; commandKey: string }) {
  const t = useTranslations();
  const pages = [
    ["overview", "/"],
    ["services", "/services"],
    ["nodes", "/nodes"],
    ["topology", "/topology"],
    ["changes", "/changes"],
    ["events", "/events"],
    ["audit", "/audit"],
    ["settings", "/settings"],
    ["help", "/help"],
  ] as const;
  const keyOf = (to: string) => Object.entries(places).find(([, path]) => path === to)?.[0] ?? "";
  const rows: [string[], string][] = [
    [[props.commandKey, "K"], t("palette.title")],
    [["/"], t("palette.keys.filter")],
    [["c"], t("palette.keys.create")],
    [["e"], t("palette.keys.edit")],
    [["?"], t("palette.keys.help")],
    ...pages.map(([key, to]): [string[], string] => [["g", keyOf(to)], t("palette.goTo", { page: t(`nav.${key}`) })]),
  ];
  return (
    <Dialog open={props.open} onOpenChange={props.onOpenChange} title={t("palette.shortcuts")} closeLabel={t("common.close")}>
      <dl className="grid grid-cols-[max-content_1fr] gap-x-6 gap-y-2">
        {rows.map(([keys, label]) => (
          <div key={label} className="contents">
            <dt className="flex gap-1">
              {keys.map((key) => (
                <kbd key={key} className="min-w-6 rounded border border-line bg-sunken px-1.5 text-center text-xs leading-5">
                  {key}
                </kbd>
              ))}
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
