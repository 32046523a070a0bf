import { PrismaPg } from "@prisma/adapter-pg";
import { DomainError } from "@trigon/model";
import { Prisma, PrismaClient } from "./generated/client.ts";
import { channel, newsChannel } from "./listener.ts";

export { Prisma, PrismaClient };

/** A Prisma client inside a transaction. */
export type Transaction = Prisma.TransactionClient;

/** The fleet's row as every configuration write first reads it. */
export interface FleetRow {
  id: string;
  epoch: number;
  sequence: number;
  observeOnly: boolean;
}

export interface Database {
  url: string;
  prisma: PrismaClient;
  /**
   * A configuration write. It begins by taking the next sequence, which lets writers in one at a time and is the generation of all they
   * touch, and ends by notifying every replica. Throws `fleet.observeOnly` while a restored database waits for an operator, unless
   * `evenObserving`.
   */
  write<T>(work: (tx: Transaction, fleet: FleetRow) => Promise<T>, options?: { evenObserving?: boolean }): Promise<T>;
  /** Tells every replica, this one included, something that may be lost. */
  tell(news: string): Promise<void>;
  close(): Promise<void>;
}

/** Connects lazily: nothing fails while Postgres is away but the calls made meanwhile. `fleetId` names the fleet of a new database. */
export async function openDatabase(url: string, fleetId: string): Promise<Database> {
  const adapter = new PrismaPg(
    { connectionString: url, max: 12, connectionTimeoutMillis: 4000, keepAlive: true },
    { onPoolError: () => undefined, onConnectionError: () => undefined }, // the query that used the connection fails by itself
  );
  const prisma = new PrismaClient({ adapter });
  await prisma.$executeRaw`INSERT INTO fleet (id) VALUES (${fleetId}) ON CONFLICT (singleton) DO NOTHING`;
  return {
    url,
    prisma,
    write: (work, options) =>
      prisma.$transaction(
        async (tx) => {
          const [fleet] = await tx.$queryRaw<FleetRow[]>`
            UPDATE fleet SET sequence = sequence + 1 RETURNING id, epoch, sequence, "observeOnly"`;
          if (!fleet) throw new DomainError("bug", "The fleet's row is missing.");
          if (fleet.observeOnly && !options?.evenObserving) {
            throw new DomainError("fleet.observeOnly", "The database was restored; confirm it before changing anything.");
          }
          const value = await work(tx, fleet);
          await tx.$executeRaw`SELECT pg_notify(${channel}, ${String(fleet.sequence)})`;
          return value;
        },
        { maxWait: 5000, timeout: 20_000 },
      ),
    tell: async (news) => {
      await prisma.$executeRaw`SELECT pg_notify(${newsChannel}, ${news})`;
    },
    close: () => prisma.$disconnect(),
  };
}
