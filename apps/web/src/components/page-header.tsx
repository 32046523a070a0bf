"use client";
import { ChevronRight } from "lucide-react";
import Link from "next/link";
import type { ReactNode } from "react";

/** The title of a page, where it lies, and what can be done there. */
export function PageHeader(props: {
  title: string;
  /** The title with decoration; `title` stays the document's. */
  heading?: ReactNode;
  parent?: { href: string; label: string };
  hint?: ReactNode;
  chips?: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <div className="mb-5 flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
      <title>{`${props.title} · Trigon`}</title>
      <div className="min-w-0">
        {props.parent ? (
          <Link
            href={props.parent.href}
            className="mb-0.5 inline-flex items-center gap-0.5 rounded text-soft text-xs hover:text-ink hover:underline"
          >
            {props.parent.label}
            <ChevronRight aria-hidden className="size-3.5" />
          </Link>
        ) : null}
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
          <h1 className="min-w-0 break-words font-semibold text-xl tracking-tight">{props.heading ?? props.title}</h1>
          {props.chips}
        </div>
        {props.hint ? <div className="mt-1 max-w-[75ch] text-soft">{props.hint}</div> : null}
      </div>
      {props.actions ? <div className="flex flex-wrap items-center gap-2">{props.actions}</div> : null}
    </div>
  );
}
