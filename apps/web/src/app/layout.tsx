import type { Metadata, Viewport } from "next";
import { cookies } from "next/headers";
import type { ReactNode } from "react";
import { messagesOf } from "../i18n/messages.ts";
import { readLocale } from "../i18n/read-locale.ts";
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
  const locale = await readLocale();
  const density = (await cookies()).get(densityCookie)?.value === "compact" ? "compact" : "normal";
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
