"use client";
import { type ComponentType, useEffect, useState } from "react";

export interface ToastWord {
  kind: "success" | "error";
  text: string;
}
export interface ToasterProps {
  theme: "light" | "dark" | "system";
  label: string;
}

/** What was said before anybody could show it. */
const waiting: ToastWord[] = [];
let onWord: (() => void) | undefined;
let show: ((word: ToastWord) => void) | undefined;

function say(word: ToastWord): void {
  if (show) show(word);
  else {
    waiting.push(word);
    onWord?.();
  }
}

/** A word about what was just done. */
export const toast = {
  success: (text: string) => say({ kind: "success", text }),
  error: (text: string) => say({ kind: "error", text }),
};

/** Whoever draws toasts takes what waited and what comes; null: nobody draws them any more. */
export function drawToasts(draw: ((word: ToastWord) => void) | null): void {
  show = draw ?? undefined;
  if (draw) for (const word of waiting.splice(0)) draw(word);
}

/** The place toasts come up in; mounted once. What draws them is fetched with the first. */
export function Toaster(props: ToasterProps) {
  const [Place, setPlace] = useState<ComponentType<ToasterProps> | null>(null);
  useEffect(() => {
    onWord = () => {
      // Without the controller it cannot come; the next word asks again.
      import("./toast-place.tsx").then(
        ({ ToastPlace }) => setPlace(() => ToastPlace),
        () => undefined,
      );
    };
    if (waiting.length > 0) onWord();
    return () => {
      onWord = undefined;
    };
  }, []);
  return Place ? <Place {...props} /> : null;
}
