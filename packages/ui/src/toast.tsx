"use client";
import { Toaster as Sonner, toast } from "sonner";

/** The place toasts come up in; mounted once. */
export function Toaster({ theme, label }: { theme: "light" | "dark" | "system"; label: string }) {
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

export { toast };
