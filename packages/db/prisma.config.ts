import path from "node:path";
import { defineConfig } from "prisma/config";

const root = path.resolve(import.meta.dirname, "../..");

// Prisma's CLI would download a native schema engine; ours runs the same engine from its npm package.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= path.join(root, "prisma/tools/schema-engine.mjs");
process.env.CHECKPOINT_DISABLE ??= "1";

export default defineConfig({
  schema: path.join(root, "prisma/schema.prisma"),
  migrations: { path: path.join(root, "prisma/migrations") },
  datasource: { url: process.env.DATABASE_URL ?? "postgresql://trigon@127.0.0.1:5432/trigon" },
});
