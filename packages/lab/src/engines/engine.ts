export type EngineName = "native" | "uml";

/** What labd is told about the kernel it runs in. */
export interface KernelEnvironment {
  /** Folder for `modprobe -d`; absent when the running kernel's own modules are used. */
  moduleBase?: string;
  /** Network card that leads out of the kernel; absent when gateway and lab share a network namespace. */
  nic?: string;
}

export interface GuestStart {
  /** Absolute path of labd.py. */
  labd: string;
  /** Absolute path of labd's configuration. */
  configuration: string;
  /** As linux.uml takes it: "1G". */
  memory: string;
  /** The CPU the guest is pinned to. */
  cpu: number;
  kernelArguments: string[];
}

/** A way to get a kernel with IPVS. Its command runs in the lab's own net, mount and pid namespaces. */
export interface Engine {
  readonly name: EngineName;
  /** Why it cannot run here, or nothing. */
  unavailable(): string | undefined;
  /** Why its kernel would have no IPVS here, or nothing. Such an engine is used only when it is named: hosts and wires still work. */
  withoutIpvs(): string | undefined;
  /** Done on the machine before the lab's namespaces exist; may only write below `cacheFolder`. */
  prepare(cacheFolder: string): KernelEnvironment;
  /** `ip -batch` lines for the lab's outer network namespace. */
  readonly outerNetwork: (gateway: string, prefix: number) => string[];
  /** Program, arguments and environment that start labd. */
  command(start: GuestStart): { argv: string[]; env: Record<string, string> };
  /** Memory-backed folder that must have room for the guest; the lab mounts a private tmpfs there. */
  readonly memoryFolder?: string;
}
