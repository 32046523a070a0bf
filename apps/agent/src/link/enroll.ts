import { agentProtocol, EnrollAnswer, type Facts, agentPaths as paths } from "@trigon/model";
import { newKeyAndRequest } from "../state/csr.ts";
import { type Identity, lifeOf, readIdentity, storeIdentity } from "../state/identity.ts";
import { HttpsClient } from "./http.ts";

export interface EnrollOptions {
  /** The console's base URL, as the token's line has it. */
  url: string;
  token: string;
  /** PEM of the appliance's CA, the only root trusted. */
  ca: string;
  stateDirectory: string;
  agentVersion: string;
  facts: Facts;
}

/**
 * Turns a one-time token into this node's identity. Safe to run again: a node that already holds a valid identity from this CA keeps it, and
 * the token is not spent. Throws `HttpError` (`token.expired`, `token.used` …) and stores nothing.
 */
export async function enroll(options: EnrollOptions): Promise<{ identity: Identity; fresh: boolean }> {
  const { url, token, ca, stateDirectory, agentVersion, facts } = options;
  const existing = readIdentity(stateDirectory);
  if (existing && existing.ca.trim() === ca.trim() && lifeOf(existing.certificate).until > Date.now())
    return { identity: existing, fresh: false };

  const { keyPem, csrPem } = newKeyAndRequest(facts.hostname.slice(0, 64) || "node");
  const client = new HttpsClient({ ca });
  try {
    const body = { protocol: agentProtocol, token, csr: csrPem, agentVersion, facts };
    const answer = EnrollAnswer.parse(await client.json(new URL(paths.enroll, url).href, { body, timeoutMs: 30_000 }));
    const { certificate, fleetId, nodeId, name, role, agentUrl, consoleUrl } = answer;
    const enrollment = { fleetId, nodeId, name, role, agentUrl, consoleUrl };
    const identity = { key: keyPem, certificate, ca: answer.ca, enrollment };
    storeIdentity(stateDirectory, identity);
    return { identity, fresh: true };
  } finally {
    client.close();
  }
}
