/** Set when the bundle is built; a run from source says so. */
export const agentVersion: string = process.env.TRIGON_AGENT_VERSION ?? "0.0.0-source";
