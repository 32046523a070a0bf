import type { EngineName } from "./engines/engine.ts";
import type { LaidHost } from "./topology.ts";

/** `guest.json` in a lab's state folder: written by lab.ts; read by labd.py and by those who attach to a running lab. */
export interface GuestConfiguration {
  engine: EngineName;
  gateway: string;
  guest: string;
  prefix: number;
  /** Of the guest itself; host number N (from 0) is served on the guest's address at execPort + 1 + N. */
  execPort: number;
  nic?: string;
  moduleBase?: string;
  modules: readonly string[];
  /** Folders that the overlay of / does not show; mounted read-only. */
  binds: string[];
  /** Files and folders of the machine that no lab host may see. */
  mask: string[];
  /** Text of the systemctl shim. */
  systemctl: string;
  /** Text of the systemd-run shim. */
  systemdRun: string;
  hosts: LaidHost[];
}
