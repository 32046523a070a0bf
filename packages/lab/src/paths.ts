import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));

/** Root of packages/lab. */
export const packageFolder = resolve(here, "..");
/** Root of the checkout. */
export const checkoutFolder = resolve(packageFolder, "../..");
/** Where labs keep their state unless told otherwise; ignored by git. */
export const labsFolder = join(checkoutFolder, ".trigon/lab");
/** Python tools that run inside lab hosts; the same path is visible there. */
export const toolsFolder = join(packageFolder, "tools");

export const stateFolder = (name: string) => join(labsFolder, name);
export const topologyFile = (name: string) => join(packageFolder, "topologies", `${name}.json`);
