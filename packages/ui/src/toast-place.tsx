"use client";
import { useEffect } from "react";
import { Toaster as Sonner, toast as sonner } from "sonner";
import { drawToasts, type ToasterProps } from "./toast.tsx";

/** Draws toasts. */
export function ToastPlace({ theme, label }: ToasterProps) {
  // A child's effects run first: Sonner listens by now.
  useEffect(() => {
    drawToasts(({ kind, text }) => void sonner[kind](text));
    return () => drawToasts(null);
  }, []);
  return (
    <Sonner
      theme={theme}
      position="bottom-right"
      containerAriaLabel={label}
      toastOptions={{
        style: {
          background: "var(--t-surface)",
          color: "var(--t-ink)",
          borderColor: "var(--t-line)",
          boxShadow: "var(--t-shadow-high)",
        },
      }}
    />
  );
}
