import { readFileSync, writeFileSync } from "node:fs";
import { KernelError } from "./failure.ts";

function fileOf(path: string): string {
  if (!/^[\w.@:/-]+$/.test(path) || path.split("/").some((part) => part === "" || part === "." || part === ".."))
    throw new KernelError("EINVAL", `${path} is no path under /proc/sys`);
  return `/proc/sys/${path}`;
}

/** Undefined when there is no such file, or it cannot be read. */
export function readSysctl(path: string): string | undefined {
  try {
    return readFileSync(fileOf(path), "utf8").trim().replace(/\s+/g, " ");
  } catch {
    return undefined;
  }
}

/** Writes a file under /proc/sys; throws a KernelError with the system's code. */
export function writeSysctl(path: string, value: string): void {
  const file = fileOf(path);
  try {
    writeFileSync(file, `${value}\n`, { flag: "r+" }); // r+: an absent file is ENOENT, not EACCES of creating one
  } catch (error) {
    const { code = "EIO" } = error as NodeJS.ErrnoException;
    throw new KernelError(code, `Could not write ${value} to ${path}: ${code}`);
  }
}
