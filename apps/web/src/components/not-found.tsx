"use client";
import { buttonStyle, EmptyState } from "@trigon/ui";
import { FileQuestion } from "lucide-react";
import Link from "next/link";
import { useTranslations } from "use-intl";

/** An address that leads nowhere. */
export function NotFound() {
  const t = useTranslations();
  return (
    <main className="grid min-h-dvh place-items-center">
      <title>{`${t("errors.noPage")} · Trigon`}</title>
      <EmptyState
        icon={FileQuestion}
        title={t("errors.noPage")}
        action={
          <Link href="/" className={buttonStyle()}>
            {t("nav.overview")}
          </Link>
        }
      />
    </main>
  );
}
