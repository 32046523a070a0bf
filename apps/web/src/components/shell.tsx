"use client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Callout, cn, Drawer, Logo } from "@trigon/ui";
import {
  Activity,
  CircleHelp,
  History,
  LayoutDashboard,
  Menu as MenuIcon,
  Network,
  ScrollText,
  Server,
  Settings,
  Waypoints,
} from "lucide-react";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { type ReactNode, useEffect, useState } from "react";
import { useFormatter, useTranslations } from "use-intl";
import { CommandCenter } from "../features/palette/command-center.tsx";
import { PendingGuards } from "../features/records/guard.tsx";
import { useLostAt } from "../lib/connection.ts";
import { useTRPC } from "../lib/trpc.ts";
import { LanguageMenu, ThemeMenu, UserMenu } from "./preferences.tsx";

const places = [
  { href: "/", key: "overview", icon: LayoutDashboard },
  { href: "/services", key: "services", icon: Network },
  { href: "/nodes", key: "nodes", icon: Server },
  { href: "/topology", key: "topology", icon: Waypoints },
  { href: "/changes", key: "changes", icon: History },
  { href: "/events", key: "events", icon: Activity },
  { href: "/audit", key: "audit", icon: ScrollText },
  { href: "/settings", key: "settings", icon: Settings },
  { href: "/help", key: "help", icon: CircleHelp },
] as const;

/** The frame around every page of the console: places on the left, preferences on top, and a word when the controller is out of reach. */
export function Shell({ children }: { children: ReactNode }) {
  const t = useTranslations();
  const pathname = usePathname();
  const [isMenuOpen, setMenuOpen] = useState(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new page closes the menu
  useEffect(() => setMenuOpen(false), [pathname]);
  return (
    <div className="flex min-h-dvh">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-surface focus:px-3 focus:py-2 focus:shadow-high"
      >
        {t("nav.skip")}
      </a>
      <aside className="sticky top-0 hidden h-dvh w-52 shrink-0 flex-col border-r bg-surface lg:flex">
        <Brand />
        <Places pathname={pathname} />
      </aside>
      <Drawer open={isMenuOpen} onOpenChange={setMenuOpen} title={t("nav.menu")}>
        <Brand />
        <Places pathname={pathname} />
      </Drawer>
      <div className="flex min-w-0 flex-1 flex-col">
        <header className="sticky top-0 z-30 flex h-14 items-center gap-1 border-b bg-surface px-3 sm:px-6 lg:h-12">
          <Button
            variant="ghost"
            size="icon"
            className="lg:hidden"
            aria-label={t("nav.menu")}
            aria-expanded={isMenuOpen}
            onClick={() => setMenuOpen(true)}
          >
            <MenuIcon aria-hidden />
          </Button>
          <Link href="/" className="flex items-center gap-2 rounded-md px-1 font-semibold lg:hidden">
            <Logo className="size-6" /> Trigon
          </Link>
          <div className="ml-auto flex items-center gap-0.5">
            <CommandCenter />
            <LanguageMenu />
            <ThemeMenu />
            <UserMenu />
          </div>
        </header>
        <LostConnection />
        <PendingGuards />
        <main id="main" tabIndex={-1} className="mx-auto w-full max-w-[90rem] flex-1 px-4 py-5 outline-none sm:px-6">
          {children}
        </main>
      </div>
    </div>
  );
}

function Brand() {
  return (
    <Link
      href="/"
      className="flex h-14 items-center gap-2.5 px-4 font-semibold text-base tracking-tight focus-visible:outline-offset-[-2px] lg:h-12"
    >
      <Logo className="size-7" />
      <span>
        Trigon <span className="font-normal text-soft text-xs">三角</span>
      </span>
    </Link>
  );
}

function Places({ pathname }: { pathname: string }) {
  const t = useTranslations("nav");
  return (
    <nav aria-label={t("label")} className="flex flex-col gap-0.5 px-2 py-2">
      {places.map(({ href, key, icon: Icon }) => {
        const isHere = href === "/" ? pathname === "/" : pathname === href || pathname.startsWith(`${href}/`);
        return (
          <Link
            key={key}
            href={href}
            aria-current={isHere ? "page" : undefined}
            className={cn(
              "flex items-center gap-2.5 rounded-md px-2.5 py-2 font-medium text-soft transition-colors hover:bg-sunken hover:text-ink",
              isHere && "bg-accent-soft text-accent hover:bg-accent-soft hover:text-accent",
            )}
          >
            <Icon aria-hidden className="size-4 shrink-0" />
            {t(key)}
          </Link>
        );
      })}
    </nav>
  );
}

/** Says that what is on the screen may be old, and since when. Asks again until the controller answers, then refreshes everything. */
function LostConnection() {
  const t = useTranslations("connection");
  const format = useFormatter();
  const lostAt = useLostAt();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const { dataUpdatedAt } = useQuery({ ...trpc.user.me.queryOptions(), refetchInterval: lostAt ? 2500 : false });
  const isLost = lostAt !== null;
  useEffect(() => {
    if (isLost) return () => void queryClient.invalidateQueries();
  }, [isLost, queryClient]);
  if (!lostAt) return null;
  return (
    <div className="px-4 pt-3 sm:px-6">
      <Callout tone="warn" title={t("lost")}>
        {dataUpdatedAt === 0
          ? t("lostNoData")
          : t("lostSince", { time: format.dateTime(lostAt, { hour: "2-digit", minute: "2-digit", second: "2-digit" }) })}
      </Callout>
    </div>
  );
}
