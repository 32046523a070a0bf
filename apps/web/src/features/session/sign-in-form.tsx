"use client";
import { Button, Callout, Card, Field, Input, Logo } from "@trigon/ui";
import { useSearchParams } from "next/navigation";
import { type FormEvent, useRef, useState } from "react";
import { useTranslations } from "use-intl";
import { LanguageMenu, ThemeMenu } from "../../components/preferences.tsx";
import { useHydrated } from "../../lib/hydrated.ts";
import { type SignInOutcome, safeNext, signIn } from "../../lib/session.ts";

/** The way in. A full load follows, so that nothing of an earlier session stays in memory. */
export function SignInForm() {
  const t = useTranslations("session");
  const next = safeNext(useSearchParams().get("next"));
  const [isBusy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<SignInOutcome | null>(null);
  const isHydrated = useHydrated();
  const passwordInput = useRef<HTMLInputElement>(null);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setOutcome(null);
    const result = await signIn(String(form.get("username") ?? ""), String(form.get("password") ?? ""));
    if (result === "ok") {
      window.location.assign(next);
      return;
    }
    setBusy(false);
    setOutcome(result);
    passwordInput.current?.select();
  }

  return (
    <main className="flex min-h-dvh flex-col items-center justify-center gap-6 px-4 py-10">
      <title>{`${t("signIn")} · Trigon`}</title>
      <div className="flex items-center gap-3">
        <Logo className="size-10" />
        <div>
          <h1 className="font-semibold text-xl leading-tight tracking-tight">Trigon</h1>
          <p className="text-soft text-xs">{t("tagline")}</p>
        </div>
      </div>
      <Card className="w-full max-w-sm p-6">
        {/* Never by GET: whatever sends it, no password shall stand in an address. */}
        <form className="space-y-4" method="post" onSubmit={(event) => void submit(event)}>
          {outcome !== null && outcome !== "ok" ? <Callout tone="bad">{t(`outcome.${outcome}`)}</Callout> : null}
          <Field label={t("username")}>
            <Input name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required autoFocus />
          </Field>
          <Field label={t("password")}>
            <Input ref={passwordInput} name="password" type="password" autoComplete="current-password" required />
          </Field>
          <Button type="submit" variant="primary" className="w-full" loading={isBusy} disabled={!isHydrated}>
            {t("signIn")}
          </Button>
        </form>
      </Card>
      <p className="max-w-sm text-center text-soft text-xs">{t("firstHint")}</p>
      <div className="flex items-center gap-1">
        <LanguageMenu />
        <ThemeMenu />
      </div>
    </main>
  );
}
