"use client";
import { useQuery } from "@tanstack/react-query";
import { Button, Menu, MenuChoice, MenuItem, MenuLabel } from "@trigon/ui";
import { CircleUser, Languages, LogOut, Monitor, Moon, Sun } from "lucide-react";
import { useRouter } from "next/navigation";
import { useTheme } from "next-themes";
import { useEffect, useState } from "react";
import { useLocale, useTranslations } from "use-intl";
import { type Locale, localeCookie, localeNames, locales } from "../i18n/locale.ts";
import { densityCookie } from "../lib/density.ts";
import { signOut } from "../lib/session.ts";
import { useTRPC } from "../lib/trpc.ts";

/** Reads and sets the reader's language; the server renders the next page in it. */
export function useLanguage(): [Locale, (locale: Locale) => void] {
  const router = useRouter();
  const locale = useLocale();
  return [
    locale,
    (next) => {
      // biome-ignore lint/suspicious/noDocumentCookie: CookieStore is missing in Firefox and Safari
      document.cookie = `${localeCookie}=${next}; path=/; max-age=31536000; samesite=lax`;
      router.refresh();
    },
  ];
}

export const densities = ["normal", "compact"] as const;
export type Density = (typeof densities)[number];

/** How closely lists are set. Kept in a cookie, so that the server draws the next page alike. */
export function useDensity(): [Density, (density: Density) => void] {
  const [density, setDensity] = useState<Density>("normal");
  useEffect(() => {
    if (document.documentElement.dataset.density === "compact") setDensity("compact");
  }, []);
  return [
    density,
    (next) => {
      setDensity(next);
      document.documentElement.dataset.density = next;
      // biome-ignore lint/suspicious/noDocumentCookie: CookieStore is missing in Firefox and Safari
      document.cookie = `${densityCookie}=${next}; path=/; max-age=31536000; samesite=lax`;
    },
  ];
}

export type Theme = "system" | "light" | "dark";
export const themes = [
  { value: "system", icon: Monitor },
  { value: "light", icon: Sun },
  { value: "dark", icon: Moon },
] as const satisfies { value: Theme; icon: typeof Sun }[];

/** The reader's theme; `system` until the browser has said, so that server and client draw alike. */
export function useThemeChoice(): [Theme, (theme: Theme) => void] {
  const { theme, setTheme } = useTheme();
  const [isMounted, setMounted] = useState(false);
  useEffect(() => setMounted(true), []);
  return [isMounted && (theme === "light" || theme === "dark") ? theme : "system", setTheme];
}

export function LanguageMenu() {
  const t = useTranslations("preferences");
  const [locale, setLocale] = useLanguage();
  return (
    <Menu
      trigger={
        <Button variant="ghost" size="sm" aria-label={`${t("language")}: ${localeNames[locale]}`}>
          <Languages aria-hidden />
          <span lang={locale}>{localeNames[locale]}</span>
        </Button>
      }
    >
      <MenuChoice
        value={locale}
        onValueChange={setLocale}
        items={locales.map((value) => ({ value, label: localeNames[value], lang: value }))}
      />
    </Menu>
  );
}

export function ThemeMenu() {
  const t = useTranslations("preferences");
  const [theme, setTheme] = useThemeChoice();
  const Icon = themes.find(({ value }) => value === theme)?.icon ?? Monitor;
  return (
    <Menu
      trigger={
        <Button variant="ghost" size="iconSm" aria-label={`${t("theme")}: ${t(`themes.${theme}`)}`}>
          <Icon aria-hidden />
        </Button>
      }
    >
      <MenuChoice
        value={theme}
        onValueChange={setTheme}
        items={themes.map(({ value, icon: ThemeIcon }) => ({
          value,
          label: (
            <>
              <ThemeIcon aria-hidden /> {t(`themes.${value}`)}
            </>
          ),
        }))}
      />
    </Menu>
  );
}

export function UserMenu() {
  const t = useTranslations("session");
  const trpc = useTRPC();
  const { data: me } = useQuery(trpc.user.me.queryOptions());
  return (
    <Menu
      trigger={
        <Button variant="ghost" size="sm" aria-label={me ? t("signedInAs", { name: me.name }) : t("account")}>
          <CircleUser aria-hidden />
          <span className="hidden max-w-32 truncate sm:inline">{me?.name}</span>
        </Button>
      }
    >
      {me ? <MenuLabel>{t("signedInAs", { name: me.name })}</MenuLabel> : null}
      <MenuItem onSelect={() => void signOut()}>
        <LogOut aria-hidden /> {t("signOut")}
      </MenuItem>
    </Menu>
  );
}
