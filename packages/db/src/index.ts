export { type Database, type FleetRow, openDatabase, Prisma, type PrismaClient, type Transaction } from "./database.ts";
export { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from "./embedded-postgres.ts";
export { type Listener, listen } from "./listener.ts";
export { DatabaseNewerError, migrate } from "./migrations.ts";
