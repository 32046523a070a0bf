import type { HttpBindings } from "@hono/node-server";
import type { Log } from "../log.ts";

/** What every request of the front door carries. */
export interface FrontEnv {
  Bindings: HttpBindings;
  Variables: {
    requestId: string;
    /** The peer's address; null over a unix socket. */
    address: string | null;
    log: Log;
  };
}
