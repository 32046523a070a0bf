"use client";
import { CircleAlert, CircleHelp } from "lucide-react";
import { Label } from "radix-ui";
import { cloneElement, type ReactElement, type ReactNode, useId, useState } from "react";
import { cn } from "./cn.ts";

interface ControlProps {
  id?: string;
  "aria-invalid"?: boolean;
  "aria-describedby"?: string;
}

/** What a field is, at length: shown when somebody asks. `label` names the question mark. */
export interface FieldHelp {
  label: string;
  content: ReactNode;
}

/** Label, control, hint and error, tied together for a screen reader. The only child is the control. */
export function Field(props: {
  label: ReactNode;
  hint?: ReactNode;
  error?: string;
  /** Shown beside the label, quietly: "optional", say. */
  note?: ReactNode;
  help?: FieldHelp;
  /** Keeps the label for screen readers only, where a column header already says it. */
  hideLabel?: boolean;
  className?: string;
  children: ReactElement<ControlProps>;
}) {
  const id = useId();
  const errorId = `${id}-error`;
  const hintId = `${id}-hint`;
  const helpId = `${id}-help`;
  const [isHelpOpen, setHelpOpen] = useState(false);
  const described = [props.error ? errorId : null, props.hint ? hintId : null, isHelpOpen ? helpId : null];
  const describedBy = described.filter(Boolean).join(" ");
  return (
    <div className={cn("flex min-w-0 flex-col gap-1.5", props.className)}>
      <span className={props.hideLabel ? "sr-only" : "flex items-center gap-1"}>
        <Label.Root htmlFor={id} className="min-w-0 font-medium text-[0.8125rem]">
          {props.label}
          {props.note ? <span className="ml-1.5 font-normal text-soft">{props.note}</span> : null}
        </Label.Root>
        {props.help ? (
          <button
            type="button"
            aria-label={props.help.label}
            aria-expanded={isHelpOpen}
            aria-controls={helpId}
            className="-my-1 grid size-6 shrink-0 place-items-center rounded-full text-soft hover:text-accent"
            onClick={() => setHelpOpen(!isHelpOpen)}
          >
            <CircleHelp aria-hidden className="size-3.5" />
          </button>
        ) : null}
      </span>
      {cloneElement(props.children, {
        id,
        "aria-invalid": props.error ? true : undefined,
        "aria-describedby": describedBy || undefined,
      })}
      {props.error ? <FieldMessage id={errorId}>{props.error}</FieldMessage> : null}
      {props.hint ? (
        <p id={hintId} className="text-soft text-xs">
          {props.hint}
        </p>
      ) : null}
      {props.help ? (
        <div id={helpId} hidden={!isHelpOpen} className="rounded-md bg-sunken px-2.5 py-2 text-soft text-xs">
          {props.help.content}
        </div>
      ) : null}
    </div>
  );
}

/** An error in words, with its icon: red alone says nothing to some. */
export function FieldMessage({ id, children }: { id?: string; children: ReactNode }) {
  return (
    <p id={id} className="flex items-start gap-1.5 text-bad text-xs">
      <CircleAlert aria-hidden className="mt-0.5 size-3.5 shrink-0" />
      <span className="min-w-0 break-words">{children}</span>
    </p>
  );
}
