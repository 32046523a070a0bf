"use client";
import type { EnrollmentTokenView } from "@trigon/model";
import { Callout, Card, CardHeader, cn } from "@trigon/ui";
import { Check, Circle, CircleX, LoaderCircle } from "lucide-react";
import { useTranslations } from "use-intl";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";

const steps = ["created", "scriptFetched", "enrolled", "connected", "inSync"] as const;

/** Where an enrollment stands; each step comes alive by itself as the machine gets there. */
export function EnrollmentProgress({ token }: { token: EnrollmentTokenView }) {
  const t = useTranslations();
  const { stage, lastContact } = token;
  const failed = stage === "preflightFailed";
  const reached = failed ? 1 : steps.indexOf(stage as (typeof steps)[number]);
  const dead = stage === "expired" || stage === "revoked";
  return (
    <Card>
      <CardHeader
        title={t("enroll.step3")}
        hint={
          lastContact ? (
            <>
              {t("enroll.lastContact", { address: lastContact.address ?? "–" })} · <When at={lastContact.at} />
            </>
          ) : undefined
        }
      />
      <ol aria-live="polite" className="flex flex-col gap-3 p-4 sm:flex-row sm:gap-0">
        {steps.map((step, index) => {
          const isDone = !dead && index <= reached;
          const isNext = !dead && !failed && index === reached + 1;
          return (
            <li key={step} className="flex flex-1 items-center gap-2.5 sm:flex-col sm:text-center">
              <span className="flex w-auto items-center sm:w-full">
                <span
                  className={cn("hidden h-0.5 flex-1 sm:block", index === 0 ? "bg-transparent" : isDone ? "bg-good" : "bg-line")}
                />
                <span
                  className={cn(
                    "grid size-7 shrink-0 place-items-center rounded-full border-2",
                    isDone ? "border-good bg-good-soft text-good" : isNext ? "border-busy text-busy" : "border-line text-soft",
                  )}
                >
                  {isDone ? (
                    <Check aria-hidden className="size-4" />
                  ) : isNext ? (
                    <LoaderCircle aria-hidden className="size-4 animate-spin [animation-duration:2s]" />
                  ) : (
                    <Circle aria-hidden className="size-2" />
                  )}
                </span>
                <span
                  className={cn(
                    "hidden h-0.5 flex-1 sm:block",
                    index === steps.length - 1 ? "bg-transparent" : !dead && index < reached ? "bg-good" : "bg-line",
                  )}
                />
              </span>
              <span className={cn("text-[0.8125rem]", isDone ? "font-medium" : "text-soft")}>
                {t(`stage.${step}`)}
                {isNext ? <span className="sr-only"> {t("enroll.waitingFor")}</span> : null}
              </span>
            </li>
          );
        })}
      </ol>
      {failed ? (
        <div className="px-4 pb-4">
          <Callout tone="bad" title={t("stage.preflightFailed")}>
            {lastContact?.message ?? t("enroll.preflightNoMessage")}
          </Callout>
        </div>
      ) : null}
      {dead ? (
        <div className="px-4 pb-4">
          <Callout tone="warn">
            <span className="flex items-center gap-1.5">
              <CircleX aria-hidden className="size-4" /> {t(`stage.${stage}`)}
            </span>
          </Callout>
        </div>
      ) : null}
      {token.nodeId ? (
        <p className="border-t px-4 py-3">
          <TextLink href={`/nodes/${token.nodeId}`}>{t("enroll.openNode")}</TextLink>
        </p>
      ) : null}
    </Card>
  );
}
