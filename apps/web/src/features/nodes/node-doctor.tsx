"use client";
import type { DoctorFinding, NodeDetailView } from "@trigon/model";
import { Card, CardHeader, Chip, Disclosure, EmptyState } from "@trigon/ui";
import { CircleCheck, OctagonX, Stethoscope, TriangleAlert } from "lucide-react";
import { useLocale, useTranslations } from "use-intl";
import { When } from "../../components/time.tsx";

const looks = {
  fail: { tone: "bad", icon: OctagonX },
  warn: { tone: "warn", icon: TriangleAlert },
  ok: { tone: "good", icon: CircleCheck },
} as const;
const order = { fail: 0, warn: 1, ok: 2 } as const;

/** What the node's agent found when it looked at its machine: faults with their reason and the command that shows them, the rest folded. */
export function NodeDoctor({ node }: { node: NodeDetailView }) {
  const t = useTranslations("doctor");
  const { doctor } = node;
  const findings = doctor?.findings.toSorted((a, b) => order[a.state] - order[b.state]) ?? [];
  const wrong = findings.filter(({ state }) => state !== "ok");
  const well = findings.filter(({ state }) => state === "ok");
  return (
    <Card>
      <CardHeader title={t("title")} />
      {doctor === null ? (
        <EmptyState icon={Stethoscope} title={t("none")}>
          {t("noneHint")}
        </EmptyState>
      ) : (
        <>
          <p className="px-4 pt-3 text-soft text-xs">
            {t(wrong.length === 0 ? "well" : "wrong", { count: wrong.length })} · <When at={doctor.at} />
          </p>
          <Findings findings={wrong} />
          {well.length > 0 ? (
            <Disclosure summary={t("rest", { count: well.length })}>
              <Findings findings={well} />
            </Disclosure>
          ) : null}
        </>
      )}
    </Card>
  );
}

function Findings({ findings }: { findings: readonly DoctorFinding[] }) {
  return (
    <ul className="divide-y">
      {findings.map((finding) => (
        <Finding key={`${finding.check} ${finding.subject}`} finding={finding} />
      ))}
    </ul>
  );
}

function Finding({ finding: { check, subject, state, observed, wanted, why, command } }: { finding: DoctorFinding }) {
  const t = useTranslations("doctor");
  const { tone, icon } = looks[state];
  // The agent's own sentence names the service; it speaks English only.
  const reason = useLocale() === "en" ? why : t(`why.${check}`);
  return (
    <li className="space-y-1 px-4 py-3">
      <div className="flex flex-wrap items-center gap-2">
        <Chip tone={tone} icon={icon}>
          {t(`state.${state}`)}
        </Chip>
        <span className="font-medium">{t(`check.${check}`)}</span>
        <span className="min-w-0 break-all font-mono text-[0.8125rem]">{subject}</span>
      </div>
      <p className="break-words text-[0.8125rem]">
        {t("observed")} <span className="font-mono">{observed}</span>
        {state === "ok" ? null : (
          <>
            {" · "}
            {t("wanted")} <span className="font-mono">{wanted}</span>
          </>
        )}
      </p>
      {state === "ok" ? null : <p className="text-soft text-xs">{reason}</p>}
      <code className="block break-all font-mono text-soft text-xs">$ {command}</code>
    </li>
  );
}
