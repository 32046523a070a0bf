import { readFileSync } from "node:fs";
import { request } from "node:https";
import pg from "pg";

interface Place {
  consoleUrl: string;
  apiUrl: string;
  agentUrl: string;
  databaseUrl: string;
  caFile: string;
  admin: { username: string; password: string };
  /** Where the lab behind the appliance keeps its state, when there is one. */
  labState?: string;
}
const variable = "TRIGON_BROWSER_TEST";

/** Tells the workers, which inherit the environment, where the appliance is. */
export function handOver(place: Place): void {
  process.env[variable] = JSON.stringify(place);
}

export function place(): Place {
  const text = process.env[variable];
  if (!text) throw new Error("The appliance is not running: start these tests with Playwright's configuration beside them.");
  return JSON.parse(text) as Place;
}

/** Rows straight from the database: what the console shows is never its own proof. */
export async function rows<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: place().databaseUrl });
  await client.connect();
  try {
    return (await client.query<Row>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** The director group that every fleet begins with: where another test made more, a service must name its own. */
export async function firstGroup(): Promise<string> {
  const [group] = await rows<{ id: string }>(`SELECT id FROM "directorGroup" WHERE name = 'default'`);
  return group!.id;
}

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: unknown;
}

/** A REST call as another program makes it, over TLS that trusts the appliance's own CA. */
export function rest(
  method: string,
  path: string,
  token: string,
  options: { body?: unknown; ifMatch?: string } = {},
): Promise<Answer> {
  const { apiUrl, caFile } = place();
  return new Promise((resolve, reject) => {
    const call = request(
      `${apiUrl}${path}`,
      {
        method,
        ca: readFileSync(caFile),
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          ...(options.ifMatch ? { "if-match": options.ifMatch } : {}),
        },
      },
      (answer) => {
        let text = "";
        answer.setEncoding("utf8").on("data", (chunk: string) => {
          text += chunk;
        });
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text === "" ? null : JSON.parse(text) }),
        );
      },
    );
    call.on("error", reject);
    call.end(options.body === undefined ? undefined : JSON.stringify(options.body));
  });
}
