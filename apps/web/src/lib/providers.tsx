"use client";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import type { AppRouter } from "@trigon/api/router";
import { Toaster } from "@trigon/ui";
import { createTRPCClient, httpBatchLink, httpSubscriptionLink, splitLink, type TRPCLink } from "@trpc/client";
import { ThemeProvider, useTheme } from "next-themes";
import { type ReactNode, useState } from "react";
import { IntlProvider, useTranslations } from "use-intl";
import type { Locale } from "../i18n/locale.ts";
import type en from "../i18n/messages/en.json";
import { setReachable } from "./connection.ts";
import { isOutage, problemOf } from "./problem.ts";
import { signInPath } from "./session.ts";
import { TRPCProvider } from "./trpc.ts";

/** Everything a page stands on: language, theme, API client and toasts. */
export function Providers(props: { locale: Locale; messages: typeof en; children: ReactNode }) {
  const [queryClient] = useState(makeQueryClient);
  const [trpcClient] = useState(makeTrpcClient);
  return (
    <ThemeProvider attribute="class" defaultTheme="system" enableSystem disableTransitionOnChange>
      <IntlProvider locale={props.locale} messages={props.messages} timeZone={Intl.DateTimeFormat().resolvedOptions().timeZone}>
        <QueryClientProvider client={queryClient}>
          <TRPCProvider trpcClient={trpcClient} queryClient={queryClient}>
            {props.children}
            <ThemedToaster />
          </TRPCProvider>
        </QueryClientProvider>
      </IntlProvider>
    </ThemeProvider>
  );
}

function ThemedToaster() {
  const { theme } = useTheme();
  const t = useTranslations("common");
  return <Toaster theme={theme === "light" || theme === "dark" ? theme : "system"} label={t("notifications")} />;
}

function makeQueryClient(): QueryClient {
  const onError = (error: unknown) => {
    const problem = problemOf(error);
    if (problem.code === "auth.required" && window.location.pathname !== "/sign-in")
      window.location.assign(signInPath(window.location));
    setReachable(!isOutage(problem));
  };
  return new QueryClient({
    queryCache: new QueryCache({ onError, onSuccess: () => setReachable(true) }),
    mutationCache: new MutationCache({ onError, onSuccess: () => setReachable(true) }),
    defaultOptions: {
      // An appliance's console may be on a network without internet: the browser's idea of "online" says nothing about the controller.
      queries: { networkMode: "always", retry: false, staleTime: 1000 },
      mutations: { networkMode: "always", retry: false },
    },
  });
}

/** Infinite queries add a `direction` that the API, which pages forward only and refuses unknown fields, does not know. */
const withoutDirection: TRPCLink<AppRouter> = () => {
  return ({ op, next }) => {
    if (typeof op.input !== "object" || op.input === null || !("direction" in op.input)) return next(op);
    const { direction: _direction, ...input } = op.input;
    return next({ ...op, input });
  };
};

function makeTrpcClient() {
  const url = `${typeof window === "undefined" ? "" : window.location.origin}/api/trpc`;
  return createTRPCClient<AppRouter>({
    links: [
      withoutDirection,
      splitLink({
        condition: (operation) => operation.type === "subscription",
        true: httpSubscriptionLink({ url }),
        false: httpBatchLink({ url, maxURLLength: 6000 }),
      }),
    ],
  });
}
