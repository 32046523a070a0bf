/**
 * What the API's answers carry besides their own headers. The web app sets its own, with its own content policy. No HSTS: it would bind
 * every port of the host's name, and this one speaks nothing but https.
 */
export const securityHeaders: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};
