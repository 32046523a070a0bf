"use client";
import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { Button } from "./button.tsx";

/** Text to copy whole: a command line, a token. It wraps rather than hides its end, and one press selects it. */
export function CopyBox(props: { text: string; copyLabel: string; copiedLabel: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <div className="flex flex-col gap-2 rounded-lg border border-line bg-sunken p-3 sm:flex-row sm:items-start">
      <code
        className="min-w-0 flex-1 select-all whitespace-pre-wrap break-all font-mono text-[0.8125rem] leading-relaxed"
        title={props.label}
      >
        {props.text}
      </code>
      <Button size="sm" className="self-end sm:self-start" onClick={() => void copyText(props.text).then(setCopied)}>
        {copied ? <Check aria-hidden className="text-good" /> : <Copy aria-hidden />}
        <span aria-live="polite">{copied ? props.copiedLabel : props.copyLabel}</span>
      </Button>
    </div>
  );
}

/** Whether the text reached the clipboard. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
