"use client";
import { Input } from "@trigon/ui";
import { useEffect, useState } from "react";

/** Filters a list by words. `value` stands in the URL and follows what is typed after a moment; the box follows the URL. */
export function SearchBox(props: { label: string; value: string; onChange: (text: string) => void }) {
  const { label, value, onChange } = props;
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: only typing starts the clock
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => onChange(text.trim()), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <Input
      type="search"
      aria-label={label}
      placeholder={label}
      className="sm:max-w-80"
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
}
