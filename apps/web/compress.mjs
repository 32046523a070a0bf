// After `next build`: puts a Brotli copy (RFC 7932) beside every script and style sheet that browsers fetch; `next.config.ts` serves it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const folder = new URL(".next/static/", import.meta.url).pathname;
for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
  if (!/\.(js|css)$/.test(name)) continue;
  const plain = readFileSync(join(folder, name));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: plain.length };
  writeFileSync(join(folder, `${name}.br`), brotliCompressSync(plain, { params }));
}
