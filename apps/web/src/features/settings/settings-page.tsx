"use client";
import { useQuery } from "@tanstack/react-query";
import { Card, CardHeader, Facts, Field, Select } from "@trigon/ui";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { type Density, densities, themes, useDensity, useLanguage, useThemeChoice } from "../../components/preferences.tsx";
import { type Locale, localeNames, locales } from "../../i18n/locale.ts";
import { byteCount } from "../../lib/format.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { ApiTokens } from "./api-tokens.tsx";
import { DirectorGroups } from "./director-groups.tsx";
import { Notifications } from "./notifications.tsx";
import { OwnPassword } from "./own-password.tsx";
import { Users } from "./users.tsx";

export function SettingsPage() {
  const t = useTranslations();
  return (
    <>
      <PageHeader title={t("nav.settings")} />
      <div className="max-w-5xl space-y-4">
        <People />
        <Notifications />
        <DirectorGroups />
        <div className="grid gap-4 md:grid-cols-2">
          <Appearance />
          <OwnPassword />
          <Fleet />
        </div>
      </div>
    </>
  );
}

/** What only an administrator may see; to others it says so. */
function People() {
  const t = useTranslations("users");
  const me = useQuery(useTRPC().user.me.queryOptions());
  if (me.data && !me.data.scopes.includes("admin")) {
    return (
      <Card>
        <CardHeader title={t("adminOnly")} hint={t("adminOnlyHint")} />
      </Card>
    );
  }
  return (
    <>
      <ApiTokens />
      <Users />
    </>
  );
}

function Appearance() {
  const t = useTranslations("preferences");
  const [locale, setLocale] = useLanguage();
  const [theme, setTheme] = useThemeChoice();
  const [density, setDensity] = useDensity();
  return (
    <Card>
      <CardHeader title={t("title")} hint={t("hint")} />
      <div className="grid gap-4 p-4 sm:grid-cols-2">
        <Field label={t("language")}>
          <Select value={locale} onChange={(event) => setLocale(event.target.value as Locale)}>
            {locales.map((value) => (
              <option key={value} value={value} lang={value}>
                {localeNames[value]}
              </option>
            ))}
          </Select>
        </Field>
        <Field label={t("theme")}>
          <Select value={theme} onChange={(event) => setTheme(event.target.value as (typeof themes)[number]["value"])}>
            {themes.map(({ value }) => (
              <option key={value} value={value}>
                {t(`themes.${value}`)}
              </option>
            ))}
          </Select>
        </Field>
        <Field label={t("density")}>
          <Select value={density} onChange={(event) => setDensity(event.target.value as Density)}>
            {densities.map((value) => (
              <option key={value} value={value}>
                {t(`densities.${value}`)}
              </option>
            ))}
          </Select>
        </Field>
      </div>
    </Card>
  );
}

function Fleet() {
  const t = useTranslations("fleet");
  const trpc = useTRPC();
  const fleet = useQuery(trpc.fleet.get.queryOptions());
  const storage = useQuery(trpc.statistics.storage.queryOptions());
  return (
    <Card>
      <CardHeader title={t("title")} />
      <Facts
        className="p-4"
        rows={[
          { name: "ID", value: <span className="break-all font-mono text-[0.8125rem]">{fleet.data?.id ?? "–"}</span> },
          { name: t("sequence"), value: fleet.data?.sequence ?? "–" },
          { name: t("epoch"), value: fleet.data?.epoch ?? "–" },
          {
            name: t("statistics"),
            value: storage.data
              ? t("statisticsSize", {
                  now: byteCount(storage.data.bytes),
                  most: byteCount(storage.data.boundBytes),
                  services: storage.data.services,
                  each: byteCount(storage.data.boundBytesEach),
                })
              : "–",
          },
          {
            name: t("api"),
            value: (
              <a href="/api/openapi.json" className="rounded text-accent underline-offset-2 hover:underline">
                OpenAPI 3.1
              </a>
            ),
          },
        ]}
      />
    </Card>
  );
}
