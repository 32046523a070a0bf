/** The sign-in page that comes back to where the reader was. */
export function signInPath({ pathname, search }: { pathname: string; search: string }): string {
  const next = `${pathname}${search}`;
  return next === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(next)}`;
}

/** Only a path of this console, never another site's address, whatever `next` says. */
export function safeNext(next: string | null): string {
  if (!next?.startsWith("/") || next.startsWith("//") || next.includes("\\") || next.startsWith("/sign-in")) return "/";
  return next;
}

export type SignInOutcome = "ok" | "wrong" | "tooMany" | "unavailable";

/** Signs in by the controller's own session endpoint; the cookie comes with the answer. */
export async function signIn(username: string, password: string): Promise<SignInOutcome> {
  try {
    const response = await fetch("/api/auth/sign-in/username", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ username, password }),
    });
    if (response.ok) return "ok";
    if (response.status === 429) return "tooMany";
    return response.status >= 500 ? "unavailable" : "wrong";
  } catch {
    return "unavailable";
  }
}

/** Ends the session and leaves for the sign-in page. */
export async function signOut(): Promise<void> {
  await fetch("/api/auth/sign-out", { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }).catch(
    () => undefined,
  );
  window.location.assign("/sign-in");
}

export type PasswordOutcome = "ok" | "wrong" | "refused" | "unavailable";

/** Gives the reader another password; their other sessions end. `refused`: the new one is too short or too long. */
export async function changePassword(currentPassword: string, newPassword: string): Promise<PasswordOutcome> {
  try {
    const response = await fetch("/api/auth/change-password", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ currentPassword, newPassword, revokeOtherSessions: true }),
    });
    if (response.ok) return "ok";
    if (response.status >= 500 || response.status === 429) return "unavailable";
    const { code } = (await response.json().catch(() => ({}))) as { code?: string };
    return code === "INVALID_PASSWORD" ? "wrong" : "refused";
  } catch {
    return "unavailable";
  }
}
