"use client";
import { Button, EmptyState } from "@trigon/ui";
import { CircleAlert } from "lucide-react";
import { useTranslations } from "use-intl";

/** The page itself broke: say so and offer to draw it again. */
export default function ErrorPage({ error, reset }: { error: Error; reset: () => void }) {
  const t = useTranslations("errors");
  return (
    <EmptyState icon={CircleAlert} title={t("pageBroke")} action={<Button onClick={reset}>{t("retry")}</Button>}>
      <title>{`${t("pageBroke")} · Trigon`}</title>
      {error.message}
    </EmptyState>
  );
}
