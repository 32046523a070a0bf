"use client";
import { Switch as Radix } from "radix-ui";

/** On or off, at once. `id` and aria attributes come from Field. */
export function Switch(props: {
  id?: string;
  checked: boolean;
  onCheckedChange: (checked: boolean) => void;
  disabled?: boolean;
  "aria-label"?: string;
  "aria-describedby"?: string;
}) {
  return (
    <Radix.Root
      {...props}
      className="relative h-6 w-10 shrink-0 rounded-full border border-line-strong bg-sunken transition-colors data-[state=checked]:border-accent data-[state=checked]:bg-accent disabled:opacity-55"
    >
      <Radix.Thumb className="block size-4 translate-x-1 rounded-full bg-soft transition-transform data-[state=checked]:translate-x-[1.2rem] data-[state=checked]:bg-on-accent" />
    </Radix.Root>
  );
}
