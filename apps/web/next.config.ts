import type { NextConfig } from "next";

// Next's own inline bootstrap and the theme script need 'unsafe-inline'; development also evaluates code and opens a socket.
const isDevelopment = process.env.NODE_ENV === "development";
const contentSecurityPolicy = [
  "default-src 'self'",
  `script-src 'self' 'unsafe-inline'${isDevelopment ? " 'unsafe-eval'" : ""}`,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  `connect-src 'self'${isDevelopment ? " ws: wss:" : ""}`,
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

// A production build puts a Brotli copy beside each of them (compress.mjs): a sixth smaller than what is compressed on the way.
const takesBrotli = { type: "header" as const, key: "accept-encoding", value: "(?:.*,)?\\s*br\\s*(?:,.*)?" };
const brotli = [
  { folder: "/_next/static/:path*", ending: "js", type: "application/javascript; charset=UTF-8" },
  { folder: "/_next/static/:path*", ending: "css", type: "text/css; charset=UTF-8" },
].map(({ folder, ending, type }) => ({ source: `${folder}/:file([^/]+\\.${ending})`, copy: `${folder}/:file.br`, type }));

const config: NextConfig = {
  poweredByHeader: false,
  reactStrictMode: true,
  transpilePackages: ["@trigon/model", "@trigon/planner", "@trigon/ui"],
  // Types are checked by `npm run typecheck`, once for all workspaces.
  typescript: { ignoreBuildErrors: true },
  devIndicators: false,
  headers: async () => [
    {
      source: "/:path*",
      headers: [
        { key: "Content-Security-Policy", value: contentSecurityPolicy },
        { key: "X-Content-Type-Options", value: "nosniff" },
        { key: "Referrer-Policy", value: "same-origin" },
      ],
    },
    ...(isDevelopment ? [] : brotli).flatMap(({ source, type }) => [
      { source, headers: [{ key: "Vary", value: "Accept-Encoding" }] },
      {
        source,
        has: [takesBrotli],
        headers: [
          { key: "Content-Encoding", value: "br" },
          { key: "Content-Type", value: type },
        ],
      },
    ]),
  ],
  rewrites: async () => ({
    beforeFiles: (isDevelopment ? [] : brotli).map(({ source, copy }) => ({ source, has: [takesBrotli], destination: copy })),
    afterFiles: [],
    fallback: [],
  }),
};

export default config;
