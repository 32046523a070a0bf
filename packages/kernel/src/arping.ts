import { KernelError } from "./failure.ts";
import { run } from "./run.ts";

/** Two programs go by the name of arping: that of iputils, and that of Thomas Habets. Their options differ. */
type Flavour = "iputils" | "habets";

let known: Promise<Flavour> | undefined;

function flavour(): Promise<Flavour> {
  known ??= run("arping", ["-V"]).then(({ stdout, stderr }) => (/iputils/.test(stdout + stderr) ? "iputils" : "habets"));
  known.catch(() => {
    known = undefined; // it may be installed later
  });
  return known;
}

/**
 * The link addresses that answer for an IPv4 address, asked by ARP probes whose sender is 0.0.0.0 (RFC 5227, 2.1.1), so that nobody's cache
 * is changed. Rejects with `tool.missing` when no arping is installed.
 */
export async function arpHolders(interfaceName: string, address: string): Promise<string[]> {
  const args: Record<Flavour, string[]> = {
    iputils: ["-D", "-c", "2", "-w", "1", "-I", interfaceName, address],
    habets: ["-0", "-r", "-c", "3", "-W", "0.12", "-w", "0.5", "-i", interfaceName, address],
  };
  const { stdout, stderr, code } = await run("arping", args[await flavour()], { timeoutMs: 5000 });
  const macs = stdout.match(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/gi) ?? [];
  if (macs.length === 0 && code > 1) throw new KernelError("EIO", `arping on ${interfaceName}: ${stderr.trim()}`);
  return [...new Set(macs.map((mac) => mac.toLowerCase()))];
}

/** Three gratuitous ARP requests (RFC 5944, 4.6) for an address of this node. */
export async function gratuitousArp(interfaceName: string, address: string): Promise<void> {
  const args: Record<Flavour, string[]> = {
    iputils: ["-U", "-c", "3", "-w", "3", "-I", interfaceName, "-s", address, address],
    habets: ["-U", "-c", "3", "-W", "0.3", "-i", interfaceName, "-S", address, address],
  };
  const { code, stderr } = await run("arping", args[await flavour()], { timeoutMs: 10_000 });
  // Nobody answers a gratuitous ARP, which both flavours count as failure (1).
  if (code > 1) throw new KernelError("EIO", `Could not announce ${address} on ${interfaceName}: ${stderr.trim()}`);
}
