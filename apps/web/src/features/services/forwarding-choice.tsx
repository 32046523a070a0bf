"use client";
import { Forwarding } from "@trigon/model";
import { Card, CardHeader, cn, FieldMessage, ForwardingPicture } from "@trigon/ui";
import { useId } from "react";
import { useFormContext, useWatch } from "react-hook-form";
import { useTranslations } from "use-intl";
import { usePictureLabels } from "./picture-labels.ts";
import type { ServiceValues } from "./spec.ts";

/** Forwarding is chosen by the way a packet takes: four radio cards, each a picture with this service's own VIP in it. */
export function ForwardingChoice({ error }: { error: string | undefined }) {
  const t = useTranslations();
  const { register, control } = useFormContext<ServiceValues>();
  const [vip, port, chosen, encapsulation, snatSource] = useWatch({
    control,
    name: ["vip", "port", "forwarding", "encapsulation", "snatSource"],
  });
  const labels = usePictureLabels();
  const id = useId();
  const shownVip =
    vip.trim() === "" ? "VIP" : typeof port === "number" && !vip.includes(":") ? `${vip.trim()}:${port}` : vip.trim();
  return (
    <Card>
      <CardHeader
        title={t("form.forwarding")}
        hint={t("form.forwardingHint")}
        actions={
          <span className="flex items-center gap-3 text-soft text-xs">
            <Legend tone="request" label={t("picture.request")} />
            <Legend tone="reply" label={t("picture.reply")} dashed />
          </span>
        }
      />
      <fieldset className="grid gap-3 p-4 md:grid-cols-2">
        <legend className="sr-only">{t("form.forwarding")}</legend>
        {Forwarding.options.map((forwarding) => (
          <label
            key={forwarding}
            className={cn(
              "flex cursor-pointer flex-col rounded-lg border-2 p-3 transition-colors has-[:focus-visible]:outline-2 has-[:focus-visible]:outline-accent has-[:focus-visible]:outline-offset-2",
              chosen === forwarding ? "border-accent bg-accent-soft/40" : "border-line hover:border-line-strong",
            )}
          >
            <span className="flex items-center gap-2 font-medium">
              <input
                type="radio"
                value={forwarding}
                aria-labelledby={`${id}-${forwarding}`}
                aria-describedby={`${id}-${forwarding}-needs`}
                className="size-4 accent-accent focus-visible:outline-none"
                {...register("forwarding")}
              />
              <span id={`${id}-${forwarding}`}>{t(`forwarding.${forwarding}.name`)}</span>
            </span>
            <span className="mt-1 flex flex-wrap items-center gap-x-4 gap-y-1">
              <ForwardingPicture
                forwarding={forwarding}
                labels={labels(forwarding)}
                vip={shownVip}
                encapsulation={encapsulation}
                snatSource={snatSource}
                className="w-full max-w-72 shrink-0"
              />
              <span id={`${id}-${forwarding}-needs`} className="min-w-32 flex-1 text-soft text-xs">
                {t(`forwarding.${forwarding}.needs`)}
              </span>
            </span>
          </label>
        ))}
      </fieldset>
      {error ? (
        <div className="px-4 pb-4">
          <FieldMessage>{error}</FieldMessage>
        </div>
      ) : null}
    </Card>
  );
}

function Legend({ tone, label, dashed = false }: { tone: "request" | "reply"; label: string; dashed?: boolean }) {
  return (
    <span className="inline-flex items-center gap-1.5">
      <svg width="22" height="6" aria-hidden="true">
        <line
          x1="0"
          x2="22"
          y1="3"
          y2="3"
          stroke={`var(--t-${tone})`}
          strokeWidth="2"
          strokeDasharray={dashed ? "4 3" : undefined}
        />
      </svg>
      {label}
    </span>
  );
}
