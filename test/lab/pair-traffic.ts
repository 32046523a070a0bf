import { type LabHost, until } from "@trigon/lab";

/**
 * Connects to each target anew every 25 ms, each waiting 250 ms at most, and says when stdin ends how long the longest time was in which no
 * connection to a target that was begun came about, in milliseconds.
 */
const prober = `
import select, socket, sys, time
targets = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in sys.argv[1:])]
pending, good, started, steady, now = {}, {target: [] for target in targets}, 0.0, False, time.monotonic
while True:
    if now() - started >= 0.025:
        started = now()
        for target in targets:
            s = socket.socket(); s.setblocking(False); begun = now()
            try: s.connect(target)
            except BlockingIOError: pending[s] = begun, target
            except OSError: s.close()
    r, w, _ = select.select([sys.stdin], list(pending), [], 0.01)
    for s in w:
        begun, target = pending.pop(s)
        if s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0: good[target].append(begun)
        s.close()
    if not steady and all(good.values()):
        steady = True
        print("steady", flush=True)
    for s, (begun, _) in list(pending.items()):
        if now() - begun > 0.25: pending.pop(s); s.close()
    if r: break
gaps = [b - a for times in good.values() for times in [sorted(times)] for a, b in zip(times, times[1:])]
print(round(1000 * max(gaps, default=-1)), sum(map(len, good.values())))
`;

/** What new connections saw while a prober ran. */
export interface Probed {
  /** The longest time in which none that was begun came about, of the target that had the longest. */
  gapMs: number;
  /** How many came about. */
  probes: number;
}

/** Starts to connect from a lab host to `address:port` targets all the time; resolves when connections to all came about. */
export async function startProber(from: LabHost, targets: readonly string[]): Promise<{ stop(): Promise<Probed> }> {
  await from.writeFile("/run/prober.py", prober);
  let said = "";
  const probing = await from.spawn(["python3", "-IS", "/run/prober.py", ...targets], {
    stdin: true,
    onStdout: (chunk) => {
      said += chunk.toString();
    },
  });
  await until("connections of the prober", () => said.includes("steady"), { deadlineMs: 20_000 });
  return {
    stop: async () => {
      probing.end();
      await probing.exited;
      const [gapMs = Number.NaN, probes = Number.NaN] = said.replace("steady", "").trim().split(" ").map(Number);
      return { gapMs, probes };
    },
  };
}

/**
 * True when a peer knows all of a client's open connections to the VIPs, by its kernel's table; throws with those that it does not know. Where
 * it was the holder before, one may have the port of an older one: the kernel then writes the news into what it has, which stays `LOCAL`.
 */
export async function areKnown(client: LabHost, peer: LabHost, vips: readonly string[], held: number): Promise<true> {
  const to = vips.map((vip) => `dst ${vip}`).join(" or ");
  const open = await client.sh(`ss -Htn state established '( ${to} )' | awk '{ print $3 }' | sed 's/.*://'`);
  const table = (await peer.sh("cat /proc/net/ip_vs_conn_sync")).split("\n").map((line) => line.split(/\s+/));
  const states = new Map<number, string[]>();
  for (const [, , hex = "", , , , , state = ""] of table) {
    const port = Number.parseInt(hex, 16);
    states.set(port, [...(states.get(port) ?? []), state]);
  }
  const ports = open.split("\n").filter(Boolean);
  const unknown = ports.filter((port) => !states.get(Number(port))?.includes("ESTABLISHED"));
  if (ports.length < held || unknown.length > ports.length - held) {
    const shown = unknown.slice(0, 20).map((port) => `${port} ${states.get(Number(port)) ?? ""}`);
    throw new Error(`${ports.length} are open, the peer does not know ${unknown.length}: ${shown.join("; ")}`);
  }
  return true;
}
