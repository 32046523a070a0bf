"use client";
import { Button, Callout, Card, CardHeader, Field, Input, toast } from "@trigon/ui";
import { type FormEvent, useState } from "react";
import { useTranslations } from "use-intl";
import { changePassword, type PasswordOutcome } from "../../lib/session.ts";

/** The reader's own password. */
export function OwnPassword() {
  const t = useTranslations("password");
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [outcome, setOutcome] = useState<PasswordOutcome | "pending" | null>(null);
  const change = async (event: FormEvent) => {
    event.preventDefault();
    setOutcome("pending");
    const result = await changePassword(current, next);
    setOutcome(result);
    if (result !== "ok") return;
    setCurrent("");
    setNext("");
    toast.success(t("changed"));
  };
  return (
    <Card>
      <CardHeader title={t("title")} hint={t("hint")} />
      <form method="post" className="space-y-4 p-4" onSubmit={(event) => void change(event)}>
        {outcome === "wrong" || outcome === "refused" || outcome === "unavailable" ? (
          <Callout tone="bad" title={t(`outcomes.${outcome}`)} />
        ) : null}
        <Field label={t("current")}>
          <Input
            type="password"
            name="current"
            autoComplete="current-password"
            required
            value={current}
            onChange={(event) => setCurrent(event.target.value)}
          />
        </Field>
        <Field label={t("next")} hint={t("rule")}>
          <Input
            type="password"
            name="next"
            autoComplete="new-password"
            required
            minLength={8}
            maxLength={128}
            value={next}
            onChange={(event) => setNext(event.target.value)}
          />
        </Field>
        <Button type="submit" loading={outcome === "pending"}>
          {t("change")}
        </Button>
      </form>
    </Card>
  );
}
