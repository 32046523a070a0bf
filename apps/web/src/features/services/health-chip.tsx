"use client";
import type { ServiceHealthView, VirtualServiceView } from "@trigon/model";
import { Callout, Chip } from "@trigon/ui";
import { HeartCrack, HeartPulse, Heart as HeartUnknown, ShieldAlert } from "lucide-react";
import { useTranslations } from "use-intl";
import { When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";

/** Says loudly that checks are not heeded now, or that the sorry server serves. */
export function HealthModeCallout({ health }: { health: ServiceHealthView | null }) {
  const t = useTranslations("health");
  if (!health || health.mode === "normal") return null;
  return (
    <Callout tone="bad" title={t(`mode.${health.mode}`)}>
      {t(`modeHint.${health.mode}`)}
    </Callout>
  );
}

/** The same beside a service's name in a list. */
export function HealthModeChip({ mode }: { mode: ServiceHealthView["mode"] | null }) {
  const t = useTranslations("health");
  if (mode === null || mode === "normal") return null;
  return (
    <Chip tone="bad" icon={ShieldAlert}>
      {t(`short.${mode}`)}
    </Chip>
  );
}

/** What the director's checks say of one real server, and why. */
export function HealthChip({ view, realServerId }: { view: VirtualServiceView; realServerId: string }) {
  const t = useTranslations("health");
  const kinds = useTranslations("form.health.kind");
  const say = useSay();
  const { health } = view.status;
  const own = health?.realServers.find((one) => one.realServerId === realServerId);
  if (!health || !own) return <span className="text-soft">–</span>;
  const servesAnyway = own.verdict === "down" && !own.isOut;
  const looks = {
    up: { tone: "good", icon: HeartPulse },
    down: { tone: servesAnyway ? "warn" : "bad", icon: HeartCrack },
    checking: { tone: "idle", icon: HeartUnknown },
  } as const;
  const { tone, icon } = looks[own.verdict];
  const { check } = health;
  return (
    <span className="inline-flex flex-col items-start gap-0.5 max-sm:items-end">
      <Chip tone={tone} icon={icon}>
        {servesAnyway ? t("downServing") : t(`verdict.${own.verdict}`)}
      </Chip>
      {check.kind === "none" ? null : (
        <span className="text-soft text-xs">{t(`asked.${check.target}`, { kind: kinds(check.kind) })}</span>
      )}
      <span className="max-w-[34ch] whitespace-normal text-soft text-xs leading-snug" title={own.message ?? undefined}>
        {own.reason ? say("reason", `health.${own.reason}`, own.message ?? own.reason) : null}
        {own.reason ? " " : null}
        {own.verdict === "up" && own.latencyMs !== null ? `${t("latency", { ms: own.latencyMs })} ` : null}
        {own.verdict === "down" ? (
          <>
            (<When at={own.since} />) {own.reason ? say("reason", `healthFix.${own.reason}`, "") : null}
          </>
        ) : null}
      </span>
    </span>
  );
}
