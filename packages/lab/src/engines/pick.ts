import type { Engine, EngineName } from "./engine.ts";
import { native } from "./native.ts";
import { uml } from "./uml.ts";

const engines: readonly Engine[] = [native, uml];

/** The engine to use: the named one, else the machine's own kernel when it has IPVS, else user-mode Linux. Throws with every reason. */
export function pickEngine(wanted?: EngineName): Engine {
  const reasons: string[] = [];
  for (const engine of engines) {
    if (wanted && engine.name !== wanted) continue;
    const reason = engine.unavailable() ?? (wanted ? undefined : engine.withoutIpvs());
    if (!reason) return engine;
    reasons.push(`${engine.name}: ${reason}`);
  }
  throw new Error(`no lab engine can run here (${reasons.join("; ")})`);
}
