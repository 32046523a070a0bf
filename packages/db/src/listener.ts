import pg from "pg";

/** Hears of every configuration write, by this replica or another. */
export interface Listener {
  /** True while the connection stands and every sequence has been told. */
  isConnected(): boolean;
  close(): Promise<void>;
}

export const channel = "trigon";
/** For what replicas should show soon but no plan depends on; losing one harms nothing. */
export const newsChannel = "trigon_news";
const retryMs = { first: 100, most: 2000 } as const;
const probeMs = 10_000;

/**
 * Calls `onSequence` with the fleet's sequence at every (re)connection and at every NOTIFY. It uses a connection of its own, as LISTEN
 * must, and comes back by itself after any loss; what was missed meanwhile shows in the sequence read on connecting. `onNews` hears of
 * what was told beside that, and may miss some.
 */
export function listen(
  url: string,
  onSequence: (sequence: number) => void,
  { onNews = () => undefined, log = () => undefined }: { onNews?: (news: string) => void; log?: (line: string) => void } = {},
): Listener {
  let client: pg.Client | undefined;
  let closed = false;
  let connected = false;
  let wait: number = retryMs.first;
  let timer: NodeJS.Timeout | undefined;

  async function readSequence(on: pg.Client): Promise<void> {
    const { rows } = await on.query<{ sequence: number }>("SELECT sequence FROM fleet");
    if (rows[0]) onSequence(rows[0].sequence);
  }

  function lose(lost: pg.Client, why: string): void {
    if (client !== lost) return;
    client = undefined;
    if (connected) log(`lost the database's notifications: ${why}`);
    connected = false;
    clearTimeout(timer);
    lost.removeAllListeners();
    lost.on("error", () => undefined);
    lost.end().catch(() => undefined);
    if (closed) return;
    timer = setTimeout(connect, wait);
    wait = Math.min(wait * 2, retryMs.most);
  }

  function probe(on: pg.Client): void {
    timer = setTimeout(() => {
      readSequence(on).then(
        () => client === on && probe(on),
        (error: Error) => lose(on, error.message),
      );
    }, probeMs);
  }

  function connect(): void {
    const fresh = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3000, query_timeout: 5000, keepAlive: true });
    client = fresh;
    fresh.on("error", (error) => lose(fresh, error.message));
    fresh.on("end", () => lose(fresh, "the connection ended"));
    fresh.on("notification", ({ channel: from, payload = "" }) =>
      from === channel ? onSequence(Number(payload)) : onNews(payload),
    );
    fresh
      .connect()
      .then(() => fresh.query(`LISTEN ${channel}; LISTEN ${newsChannel}`))
      .then(() => readSequence(fresh))
      .then(
        () => {
          connected = true;
          wait = retryMs.first;
          probe(fresh);
        },
        (error: Error) => lose(fresh, error.message),
      );
  }

  connect();
  return {
    isConnected: () => connected,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      const last = client;
      client = undefined;
      last?.removeAllListeners();
      last?.on("error", () => undefined);
      await last?.end().catch(() => undefined);
    },
  };
}
