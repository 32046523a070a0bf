"use client";
import { CircleAlert } from "lucide-react";
import { Label } from "radix-ui";
import { cloneElement, type ReactElement, type ReactNode, useId } from "react";
import { cn } from "./cn.ts";

interface ControlProps {
  id?: string;
  "aria-invalid"?: boolean;
  "aria-describedby"?: string;
}

/** Label, control, hint and error, tied together for a screen reader. The only child is the control. */
export function Field(props: {
  label: ReactNode;
  hint?: ReactNode;
  error?: string;
  /** Shown beside the label, quietly: "optional", say. */
  note?: ReactNode;
  /** Keeps the label for screen readers only, where a column header already says it. */
  hideLabel?: boolean;
  className?: string;
  children: ReactElement<ControlProps>;
}) {
  const id = useId();
  const errorId = `${id}-error`;
  const hintId = `${id}-hint`;
  const describedBy = [props.error ? errorId : null, props.hint ? hintId : null].filter(Boolean).join(" ");
  return (
    <div className={cn("flex min-w-0 flex-col gap-1.5", props.className)}>
      <Label.Root htmlFor={id} className={props.hideLabel ? "sr-only" : "font-medium text-[0.8125rem]"}>
        {props.label}
        {props.note ? <span className="ml-1.5 font-normal text-soft">{props.note}</span> : null}
      </Label.Root>
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
