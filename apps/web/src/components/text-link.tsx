import { cn } from "@trigon/ui";
import Link from "next/link";
import type { ReactNode } from "react";

/** A link inside a table or a sentence. */
export function TextLink({ href, children, className }: { href: string; children: ReactNode; className?: string }) {
  return (
    <Link href={href} className={cn("rounded font-medium text-accent underline-offset-2 hover:underline", className)}>
      {children}
    </Link>
  );
}
