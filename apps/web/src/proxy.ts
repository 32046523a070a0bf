import { type NextRequest, NextResponse } from "next/server";
import { signInPath } from "./lib/session.ts";

/** Without any session cookie there is nothing to show but the sign-in page. Whether a cookie is good is the controller's to say. */
export function proxy(request: NextRequest): NextResponse {
  const hasSession = request.cookies.getAll().some(({ name }) => name.endsWith("session_token"));
  if (hasSession) return NextResponse.next();
  // Next makes a Location of its own host relative, so that it holds behind the front door too.
  return NextResponse.redirect(new URL(signInPath(request.nextUrl), request.nextUrl));
}

export const config = { matcher: ["/((?!_next/|sign-in|icon|favicon|api/|enroll/).*)"] };
