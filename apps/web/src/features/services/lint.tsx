"use client";
import { useQuery } from "@tanstack/react-query";
import type { LintFinding } from "@trigon/model";
import { Callout } from "@trigon/ui";
import { useTranslations } from "use-intl";
import { useSay } from "../../i18n/say.ts";
import { type Outputs, useTRPC, useTRPCClient } from "../../lib/trpc.ts";

/** What the server says about a spec that nobody saved yet; asked by POST, because a spec may be long. `spec` undefined: nothing to ask. */
export function useValidation(id: string | undefined, spec: unknown) {
  const trpc = useTRPC();
  const client = useTRPCClient();
  return useQuery({
    queryKey: [...trpc.virtualService.validate.mutationKey(), id ?? null, spec],
    queryFn: ({ signal }): Promise<Outputs["virtualService"]["validate"]> =>
      client.virtualService.validate.mutate({ ...(id ? { id } : {}), spec }, { signal }),
    enabled: spec !== undefined,
    placeholderData: (previous) => previous,
  });
}

/** What is legal but unwise, each with its remedy. It never stops a save. */
export function Lint({ findings, title }: { findings: readonly LintFinding[]; title: string }) {
  const say = useSay();
  const t = useTranslations("form");
  if (findings.length === 0) return null;
  const isWarning = findings.some(({ severity }) => severity === "warn");
  return (
    <Callout tone={isWarning ? "warn" : "info"} title={title}>
      <ul className="mt-1 list-disc space-y-1 pl-4">
        {findings.map((finding) => (
          <li key={`${finding.code}${finding.pointer}`}>
            {isWarning && finding.severity === "warn" ? <strong className="font-medium">{t("lintWarn")} </strong> : null}
            {say("lint", finding.code, finding.detail, finding.meta)}
            {finding.fix ? (
              <span className="text-soft"> {say("lint", `${finding.code}Fix`, finding.fix, finding.meta)}</span>
            ) : null}
          </li>
        ))}
      </ul>
    </Callout>
  );
}
