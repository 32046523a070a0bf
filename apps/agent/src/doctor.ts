import type { MachineQuestions } from "@trigon/kernel";
import type { DoctorFinding, DoctorReport, Facts, Fragment, Machine, TableRow } from "@trigon/model";
import { examine, modulesFor, sysctlsFor, tunnelsFor } from "@trigon/planner";
import type { Duplicate } from "./duplicates.ts";
import { type Log, reasonOf } from "./log.ts";

/** How the machine is read; the kernel package's, but in tests. */
export type ReadMachine = (questions: MachineQuestions) => Promise<Machine>;

export interface DoctorSubject {
  fragments: readonly Fragment[];
  facts: Facts | null;
  /** Rows of the kernel's table that Trigon did not make. */
  foreign: readonly Pick<TableRow, "key" | "observed">[];
  /** VIPs that others hold too; left out: nobody looked. */
  duplicates?: readonly Duplicate[];
}

/** Looks at the machine now. */
export async function lookAt(
  { fragments, facts, foreign, duplicates = [] }: DoctorSubject,
  read: ReadMachine,
): Promise<DoctorFinding[]> {
  if (!facts) return [];
  const legs = facts.interfaces.filter(({ name, up }) => up && name !== "lo").map(({ name }) => name);
  const machine = await read({
    modules: modulesFor(fragments),
    sysctls: sysctlsFor([...legs, ...tunnelsFor(fragments, facts)]),
    offloads: fragments.some(({ kind }) => kind === "director.service") ? legs : [],
    iptables: facts.iptables,
  });
  const foreignServices = foreign.flatMap(({ key, observed }) => (key.startsWith("ipvsService ") && observed ? [observed] : []));
  return examine({ fragments, facts, machine, foreignServices, duplicates });
}

/** When the bustle of the start is over and the first plan stands, and then once a minute. */
const firstMs = 60_000;
const everyMs = 60_000;

/** Looks at the machine from time to time and keeps what was found. */
export class Doctor {
  readonly #options: { subject: () => DoctorSubject; read: ReadMachine; onChange: () => void; log: Log };
  #latest: DoctorReport | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: { subject: () => DoctorSubject; read: ReadMachine; onChange: () => void; log: Log }) {
    this.#options = options;
  }

  /** The same object for as long as the machine looks the same; null before the first look. */
  get latest(): DoctorReport | null {
    return this.#latest;
  }

  start(): void {
    this.#arm(firstMs);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** Looks now. */
  async look(): Promise<DoctorReport> {
    const findings = await lookAt(this.#options.subject(), this.#options.read);
    if (!this.#latest || JSON.stringify(findings) !== JSON.stringify(this.#latest.findings)) {
      this.#latest = { at: new Date().toISOString(), findings };
      this.#options.onChange();
    }
    return this.#latest;
  }

  #arm(wait: number): void {
    this.#timer = setTimeout(() => {
      this.look()
        .catch((error: unknown) => this.#options.log.warn("The machine could not be looked at", { reason: reasonOf(error) }))
        .finally(() => {
          if (!this.#isClosed) this.#arm(everyMs);
        });
    }, wait);
  }
}
