"use client";
import { Tabs as Radix } from "radix-ui";
import type { ReactNode } from "react";

/** Tabs over panels. The caller keeps the value (in the URL, for a page). */
export function Tabs<K extends string>(props: {
  value: K;
  onValueChange: (value: K) => void;
  label: string;
  items: { value: K; label: ReactNode; content: ReactNode }[];
}) {
  return (
    <Radix.Root value={props.value} onValueChange={(value) => props.onValueChange(value as K)}>
      <Radix.List aria-label={props.label} className="flex gap-1 overflow-x-auto border-line border-b">
        {props.items.map((item) => (
          <Radix.Trigger
            key={item.value}
            value={item.value}
            className="-mb-px whitespace-nowrap border-transparent border-b-2 px-3 py-2 font-medium text-soft hover:text-ink focus-visible:outline-offset-[-2px] data-[state=active]:border-accent data-[state=active]:text-ink"
          >
            {item.label}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {props.items.map((item) => (
        <Radix.Content key={item.value} value={item.value} className="pt-4" tabIndex={-1}>
          {item.content}
        </Radix.Content>
      ))}
    </Radix.Root>
  );
}
