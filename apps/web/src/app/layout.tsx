import type { Metadata, Viewport } from "next";
import { cookies, headers } from "next/headers";
import type { ReactNode } from "react";
import { localeCookie, negotiate } from "../i18n/locale.ts";
import { messagesOf } from "../i18n/messages.ts";
import { densityCookie } from "../lib/density.ts";
import { Providers } from "../lib/providers.tsx";
import "./globals.css";

// No title here: each page brings its own, in the reader's language.
export const metadata: Metadata = {
  robots: { index: false, follow: false },
};
export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#ffffff" },
    { media: "(prefers-color-scheme: dark)", color: "#131921" },
  ],
};

export default async function RootLayout({ children }: { children: ReactNode }) {
  const kept = await cookies();
  const locale = negotiate(kept.get(localeCookie)?.value, (await headers()).get("accept-language"));
  const density = kept.get(densityCookie)?.value === "compact" ? "compact" : "normal";
  return (
    // The theme script sets the class before the first paint, so the server's markup differs on purpose.
    <html lang={locale} data-density={density} suppressHydrationWarning>
      <body className="min-h-dvh font-sans">
        <Providers locale={locale} messages={messagesOf(locale)}>
          {children}
        </Providers>
      </body>
    </html>
  );
}
