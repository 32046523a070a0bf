/** The checkout. */
export const root: string;

/** Whether `npm ci` is due. */
export function needsInstall(): boolean;

export interface Appliance {
  /** Where a browser on this machine opens the console. */
  consoleUrl: string;
  /** The REST API's base, `…/api/v1`. */
  apiUrl: string;
  agentUrl: string;
  /** PEM of the appliance's CA. */
  caFile: string;
  databaseUrl: string;
  /** The password is null when it was changed or removed from the data folder. */
  admin: { username: string; password: string | null };
  readonly controllerPid: number;
  /** Undefined while Postgres is away, or when it is not the embedded one. */
  postgresPid(): number | undefined;
  stop(): Promise<void>;
}

export interface ApplianceOptions {
  dataDir?: string;
  databaseUrl?: string;
  /** `host:port`, several with commas, and `unix:/path`. */
  listen?: string;
  agentListen?: string;
  publicUrl?: string;
  agentUrl?: string;
  certificateNames?: string[];
  web?: boolean;
  dev?: boolean;
  /** Else to files in the data folder's `log`. */
  logToOutput?: boolean;
  env?: NodeJS.ProcessEnv;
  onStep?: (text: string) => void;
}

/** Brings what a fresh checkout lacks: node_modules, the database client, the agent bundle, the web app's build. */
export function prepare(options?: {
  web?: boolean;
  agent?: boolean;
  onStep?: (text: string) => void;
  onLine?: (line: string) => void;
}): Promise<void>;

/** Starts everything and answers when the console is served. */
export function startAppliance(options?: ApplianceOptions): Promise<Appliance>;

/** A loopback port that nobody listens on now: the wanted one, or any. Rejects when the wanted one is taken. */
export function freePort(wanted?: number): Promise<number>;
