"use client";
import {
  cloneElement,
  createContext,
  type KeyboardEvent,
  type MouseEvent,
  type ReactElement,
  type ReactNode,
  useContext,
  useState,
} from "react";

export interface MenuProps {
  /** The button that opens it. */
  trigger: ReactElement;
  children: ReactNode;
  align?: "start" | "end";
}
export interface MenuItemProps {
  onSelect: () => void;
  children: ReactNode;
}
export interface MenuLabelProps {
  children: ReactNode;
}
export interface MenuChoiceProps<K extends string> {
  value: K;
  onValueChange: (value: K) => void;
  items: { value: K; label: ReactNode; lang?: string }[];
}

type MenuParts = typeof import("./menu-parts.tsx");
const Parts = createContext<MenuParts | null>(null);
const load = () => import("./menu-parts.tsx");

/** A drop-down menu. What draws it is fetched when a pointer or the focus comes to its button. */
export function Menu(props: MenuProps) {
  const [opened, setOpened] = useState<{ parts: MenuParts; isByKeyboard: boolean } | null>(null);
  if (opened)
    return (
      <Parts value={opened.parts}>
        <opened.parts.Root {...props} isByKeyboard={opened.isByKeyboard} />
      </Parts>
    );
  const prepare = () => void load().catch(() => undefined);
  const open = (isByKeyboard: boolean) =>
    void load().then(
      (parts) => setOpened({ parts, isByKeyboard }),
      () => undefined,
    );
  return cloneElement(props.trigger as ReactElement<Record<string, unknown>>, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    "data-state": "closed",
    onPointerEnter: prepare,
    onFocus: prepare,
    // A click that no pointer made has no count (UI Events).
    onClick: ({ detail }: MouseEvent) => open(detail === 0),
    onKeyDown: (event: KeyboardEvent) => {
      if (event.key !== "ArrowDown") return;
      event.preventDefault();
      open(true);
    },
  });
}

export function MenuItem(props: MenuItemProps) {
  const parts = useContext(Parts);
  return parts ? <parts.Item {...props} /> : null;
}

/** A heading inside a menu. */
export function MenuLabel(props: MenuLabelProps) {
  const parts = useContext(Parts);
  return parts ? <parts.Label {...props} /> : null;
}

/** One of several: the chosen one carries a tick. */
export function MenuChoice<K extends string>(props: MenuChoiceProps<K>) {
  const parts = useContext(Parts);
  return parts ? <parts.Choice {...props} /> : null;
}
