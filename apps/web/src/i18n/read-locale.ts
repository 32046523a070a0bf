import { cookies, headers } from "next/headers";
import { type Locale, localeCookie, negotiate } from "./locale.ts";

/** The language of the request that is being answered. */
export async function readLocale(): Promise<Locale> {
  return negotiate((await cookies()).get(localeCookie)?.value, (await headers()).get("accept-language"));
}
