import { ArrowRight, Minus, Pencil, Plus } from "lucide-react";
import type { ReactNode } from "react";
import { Callout } from "./callout.tsx";

export interface DiffStep {
  kind: "add" | "change" | "remove";
  /** The step in words. */
  text: ReactNode;
  /** The same by hand; the first characters tell the tool. */
  commands: readonly string[];
  /** What it costs, such as the connections it touches. */
  note?: ReactNode;
}

export interface DiffGroup {
  key: string;
  title: ReactNode;
  hint?: ReactNode;
  steps: readonly DiffStep[];
  problems: readonly ReactNode[];
}

const looks = {
  add: { icon: Plus, tone: "text-good" },
  change: { icon: Pencil, tone: "text-ink" },
  remove: { icon: Minus, tone: "text-bad" },
} as const;

/** What will be done, where, in which order: sentences first, the commands under them. `kinds` names the signs for those who hear them. */
export function DiffView({ groups, kinds }: { groups: readonly DiffGroup[]; kinds: Record<DiffStep["kind"], string> }) {
  return (
    <div className="space-y-4">
      {groups.map((group) => (
        <section key={group.key}>
          <h3 className="flex flex-wrap items-baseline gap-x-2 font-medium">
            {group.title}
            {group.hint ? <span className="font-normal text-soft text-xs">{group.hint}</span> : null}
          </h3>
          {group.problems.length > 0 ? (
            <Callout tone="bad" className="mt-1.5">
              {group.problems.map((problem, at) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: sentences without a name, never reordered
                <p key={at}>{problem}</p>
              ))}
            </Callout>
          ) : null}
          <ol className="mt-1.5 divide-y rounded-md border">
            {group.steps.map((step, at) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: steps in their order, never reordered
              <Step key={at} step={step} kind={kinds[step.kind]} />
            ))}
          </ol>
        </section>
      ))}
    </div>
  );
}

function Step({ step, kind }: { step: DiffStep; kind: string }) {
  const { icon: Icon, tone } = looks[step.kind];
  return (
    <li className="flex gap-2 px-3 py-2">
      <Icon aria-hidden className={`mt-0.5 size-4 shrink-0 ${tone}`} />
      <div className="min-w-0 flex-1">
        <p className="break-words">
          <span className="sr-only">{kind}: </span>
          {step.text}
        </p>
        {step.note ? <p className="font-medium text-bad text-xs">{step.note}</p> : null}
        {step.commands.map((command) => (
          <code key={command} className="mt-0.5 flex gap-1.5 break-all font-mono text-soft text-xs">
            <ArrowRight aria-hidden className="mt-0.5 size-3 shrink-0" />
            {command}
          </code>
        ))}
      </div>
    </li>
  );
}
