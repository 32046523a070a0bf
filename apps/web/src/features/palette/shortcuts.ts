/** What a shortcut does. */
export type Command =
  | { do: "go"; to: string }
  | { do: "palette" }
  | { do: "filter" }
  | { do: "create" }
  | { do: "edit" }
  | { do: "help" };

/** `g` and then one of these goes to a page. */
export const places = {
  o: "/",
  s: "/services",
  n: "/nodes",
  t: "/topology",
  c: "/changes",
  e: "/events",
  a: "/audit",
  ",": "/settings",
  h: "/help",
} as const;

const single: Record<string, Command> = {
  "/": { do: "filter" },
  c: { do: "create" },
  e: { do: "edit" },
  "?": { do: "help" },
};

/** A `g` is waited upon for so long. */
export const prefixMs = 1500;

export interface Press {
  key: string;
  /** Ctrl, or ⌘ on a Mac. */
  isCommand: boolean;
  isAlt: boolean;
  /** Somebody types into a field, or a dialog is open. */
  isBusy: boolean;
}

/** What a key means after those before it. `pending`: whether a `g` still waits for its second key. Pure. */
export function readKey(pending: boolean, press: Press): { pending: boolean; command: Command | null } {
  const nothing = { pending: false, command: null };
  // The palette opens from everywhere, a field too.
  if (press.isCommand && !press.isAlt && press.key.toLowerCase() === "k") return { pending: false, command: { do: "palette" } };
  if (press.isBusy || press.isCommand || press.isAlt) return nothing;
  if (press.key === "Shift") return { pending, command: null };
  if (pending) {
    const to = Object.entries(places).find(([key]) => key === press.key)?.[1];
    return { pending: false, command: to === undefined ? null : { do: "go", to } };
  }
  if (press.key === "g") return { pending: true, command: null };
  return { pending: false, command: single[press.key] ?? null };
}

/** Where "create" and "edit" lead from a page; null: nowhere. */
export function targetOf(command: "create" | "edit", pathname: string): string | null {
  if (command === "create") return pathname.startsWith("/nodes") ? "/nodes/enroll" : "/services/new";
  const service = /^\/services\/(vs_[0-9a-z]+)$/.exec(pathname)?.[1];
  return service ? `/services/${service}/edit` : null;
}
