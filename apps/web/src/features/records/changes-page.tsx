"use client";
import { useRouter, useSearchParams } from "next/navigation";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { useWatch } from "../../lib/live.ts";
import { ChangeList } from "./change-list.tsx";

export function ChangesPage() {
  const t = useTranslations("changes");
  const router = useRouter();
  const query = useSearchParams().get("q") ?? "";
  useWatch("virtualService");
  return (
    <>
      <PageHeader title={t("title")} hint={t("hint")} />
      <ChangeList
        query={query}
        onQuery={(text) => router.replace(text ? `/changes?q=${encodeURIComponent(text)}` : "/changes", { scroll: false })}
      />
    </>
  );
}
