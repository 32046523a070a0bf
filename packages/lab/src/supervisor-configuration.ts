/** `supervisor.json` in a lab's state folder: written by lab.ts, read by supervisor.ts. */
export interface SupervisorConfiguration {
  /** `ip -batch` lines for the outer network namespace. */
  outerNetwork: string[];
  memoryFolder?: string;
  argv: string[];
  env: Record<string, string>;
}
