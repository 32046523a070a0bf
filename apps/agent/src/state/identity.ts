import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NodeRole } from "@trigon/model";
import { z } from "zod";
import { writeAtomically } from "./files.ts";

/** What enrollment told this node about itself and its appliance. */
export const Enrollment = z.object({
  fleetId: z.string(),
  nodeId: z.string(),
  name: z.string(),
  /** Unknown where an earlier version enrolled. */
  role: NodeRole.optional(),
  agentUrl: z.url(),
  consoleUrl: z.string(),
});
export type Enrollment = z.infer<typeof Enrollment>;

/** Key, certificate and CA travel in one file, so that a renewal replaces all or nothing. PEM texts. */
const Credentials = z.object({ key: z.string(), certificate: z.string(), ca: z.string() });
export type Credentials = z.infer<typeof Credentials>;

export interface Identity extends Credentials {
  enrollment: Enrollment;
}

const pathsIn = (stateDirectory: string) => {
  const directory = join(stateDirectory, "identity");
  return {
    key: join(directory, "key.pem"),
    certificate: join(directory, "cert.pem"),
    ca: join(directory, "ca.pem"),
    credentials: join(directory, "credentials.json"),
    enrollment: join(directory, "enrollment.json"),
  };
};

/** The stored identity, or null on a node that was never enrolled. Throws when it is there but damaged. */
export function readIdentity(stateDirectory: string): Identity | null {
  const paths = pathsIn(stateDirectory);
  if (!existsSync(paths.enrollment)) return null;
  const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  return { ...Credentials.parse(json(paths.credentials)), enrollment: Enrollment.parse(json(paths.enrollment)) };
}

/** Stores credentials (mode 0600). Besides the one file that counts, PEM copies are kept for curl and openssl. */
export function storeCredentials(stateDirectory: string, credentials: Credentials): void {
  assertKeyMatches(credentials);
  const paths = pathsIn(stateDirectory);
  writeAtomically(paths.credentials, JSON.stringify(credentials), 0o600);
  writeAtomically(paths.key, credentials.key, 0o600);
  writeAtomically(paths.certificate, credentials.certificate, 0o644);
  writeAtomically(paths.ca, credentials.ca, 0o644);
}

/** The enrollment file comes last: its presence is what makes an identity. */
export function storeIdentity(stateDirectory: string, identity: Identity): void {
  const { enrollment, ...credentials } = identity;
  storeCredentials(stateDirectory, Credentials.parse(credentials));
  writeAtomically(pathsIn(stateDirectory).enrollment, `${JSON.stringify(enrollment, null, 2)}\n`, 0o644);
}

/** When a certificate's life begins, ends, and when it should be renewed: at two thirds of it. Milliseconds since the epoch. */
export function lifeOf(certificatePem: string): { from: number; until: number; renewAt: number } {
  const certificate = new X509Certificate(certificatePem);
  const from = Date.parse(certificate.validFrom);
  const until = Date.parse(certificate.validTo);
  return { from, until, renewAt: from + ((until - from) * 2) / 3 };
}

function assertKeyMatches({ key, certificate }: Credentials): void {
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key)))
    throw new Error("The certificate that came back is not for this node's key");
}
