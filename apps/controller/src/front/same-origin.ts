const safe = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * Whether a request that a cookie vouches for may change something. A browser tells where a request comes from (`Origin`,
 * `Sec-Fetch-Site`); another site's page must not ride on the operator's session (OWASP: cross-site request forgery).
 */
export function isSameOrigin(request: { method: string; url: string; headers: Headers }): boolean {
  if (safe.has(request.method)) return true;
  const origin = request.headers.get("origin");
  if (origin !== null) return URL.canParse(origin) && new URL(origin).host === new URL(request.url).host;
  const site = request.headers.get("sec-fetch-site");
  return site === null || site === "same-origin" || site === "none";
}
