"use client";
import { Check } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import { useCallback, useRef } from "react";
import type { MenuChoiceProps, MenuItemProps, MenuLabelProps, MenuProps } from "./menu.tsx";

const item =
  "flex cursor-default select-none items-center gap-2 rounded px-2.5 py-1.5 outline-none data-[highlighted]:bg-sunken [&_svg]:size-4";

/** Open from the start. Opened by keyboard, its first item has the focus, as Radix has it ever after. */
export function Root(props: MenuProps & { isByKeyboard: boolean }) {
  const isFirst = useRef(props.isByKeyboard);
  const onContent = useCallback((content: HTMLElement | null) => {
    if (!content || !isFirst.current) return;
    isFirst.current = false;
    setTimeout(() => content.querySelector<HTMLElement>('[role^="menuitem"]')?.focus());
  }, []);
  return (
    <DropdownMenu.Root modal={false} defaultOpen>
      <DropdownMenu.Trigger asChild>{props.trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content
          ref={onContent}
          align={props.align ?? "end"}
          sideOffset={6}
          className="z-50 min-w-44 rounded-lg border border-line bg-surface p-1 shadow-high"
        >
          {props.children}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

export function Item(props: MenuItemProps) {
  return (
    <DropdownMenu.Item className={item} onSelect={props.onSelect}>
      {props.children}
    </DropdownMenu.Item>
  );
}

export function Label({ children }: MenuLabelProps) {
  return <DropdownMenu.Label className="px-2.5 py-1.5 text-soft text-xs">{children}</DropdownMenu.Label>;
}

export function Choice<K extends string>(props: MenuChoiceProps<K>) {
  return (
    <DropdownMenu.RadioGroup value={props.value} onValueChange={(value) => props.onValueChange(value as K)}>
      {props.items.map((choice) => (
        <DropdownMenu.RadioItem key={choice.value} value={choice.value} lang={choice.lang} className={item}>
          <span className="grid size-4 place-items-center">
            <DropdownMenu.ItemIndicator>
              <Check aria-hidden />
            </DropdownMenu.ItemIndicator>
          </span>
          {choice.label}
        </DropdownMenu.RadioItem>
      ))}
    </DropdownMenu.RadioGroup>
  );
}
