"use client";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { useWatch } from "../../lib/live.ts";
import { ChangeList } from "./change-list.tsx";

export function ChangesPage() {
  const t = useTranslations("changes");
  useWatch("virtualService");
  return (
    <>
      <PageHeader title={t("title")} hint={t("hint")} />
      <ChangeList />
    </>
  );
}
