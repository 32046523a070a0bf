"use client";
import { Card, CardHeader } from "@trigon/ui";
import { PageHeader } from "../../components/page-header.tsx";
import { TextLink } from "../../components/text-link.tsx";
import type { Help } from "../../i18n/help.ts";

/** The operators' help: what people complain about elsewhere, and how it is done here. */
export function HelpPage({ help }: { help: Help }) {
  return (
    <>
      <PageHeader title={help.title} hint={help.hint} />
      <Card>
        <CardHeader title={help.complaints.title} hint={help.complaints.hint} />
        <ol className="divide-y">
          {help.complaints.items.map(({ complaint, answer, href, link }) => (
            <li key={complaint} className="px-4 py-3">
              <h3 className="font-medium">{complaint}</h3>
              <p className="mt-1 max-w-[80ch] text-soft">{answer}</p>
              {href && link ? (
                <p className="mt-1">
                  <TextLink href={href}>{link}</TextLink>
                </p>
              ) : null}
            </li>
          ))}
        </ol>
      </Card>
    </>
  );
}
