"use client";
import { useQuery } from "@tanstack/react-query";
import type { Scope } from "@trigon/model";
import type { ReactNode } from "react";
import { useTRPC } from "../lib/trpc.ts";

/** Whether the reader may do what needs this scope; true until it is known, so that nothing appears late for those who may. */
export function useMay(scope: Scope): boolean {
  const { data: me } = useQuery(useTRPC().user.me.queryOptions());
  return me === undefined || me.scopes.includes("admin") || me.scopes.includes(scope);
}

/** What only readers with this scope are offered: the API would refuse the others. */
export function May({ scope, children }: { scope: Scope; children: ReactNode }) {
  return useMay(scope) ? children : null;
}
