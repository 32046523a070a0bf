"use client";
import type { PathView, VirtualServiceView } from "@trigon/model";
import { Chip } from "@trigon/ui";
import { Hourglass, MailQuestion, Route, RouteOff } from "lucide-react";
import { useTranslations } from "use-intl";
import { When } from "../../components/time.tsx";

/** Whether the way that clients' packets take to a real server works; where it does not, the step that fails and what helps. */
export function PathChip(props: {
  view: VirtualServiceView;
  rip: string;
  path: PathView | undefined;
  director: string | undefined;
}) {
  const { view, rip, path, director } = props;
  const t = useTranslations("path");
  if (!path || (path.state === "none" && !path.cause)) return <span className="text-soft">–</span>;
  const looks = {
    proved: { tone: "good", icon: Route },
    arrived: { tone: "idle", icon: MailQuestion },
    none: { tone: "idle", icon: MailQuestion },
    failed: { tone: "bad", icon: RouteOff },
    checking: { tone: "idle", icon: Hourglass },
  } as const;
  const { tone, icon } = looks[path.state];
  const values = {
    vip: view.vip,
    protocol: view.protocol.toUpperCase(),
    port: String(view.port),
    rip,
    director: director ?? t("director"),
  };
  return (
    <span className="inline-flex flex-col items-start gap-0.5 max-sm:items-end">
      <Chip tone={tone} icon={icon}>
        {path.state === "failed" && path.step ? t(`fails.${path.step}`) : t(`state.${path.state}`)}
      </Chip>
      {path.cause ? (
        <span className="max-w-[44ch] whitespace-normal text-soft text-xs leading-snug">
          {t(`cause.${path.cause}`, values)} {t(`fix.${path.cause}`, values)}
          {path.since ? (
            <>
              {" "}
              (<When at={path.since} />)
            </>
          ) : null}
        </span>
      ) : null}
      {path.state === "proved" ? (
        <span className="whitespace-normal text-soft text-xs leading-snug">
          {path.latencyMs === null ? null : t("latency", { ms: path.latencyMs })} {path.large ? t("large") : null}
        </span>
      ) : null}
    </span>
  );
}
