import type { X509Certificate } from "node:crypto";

/** Who is at the other end of an agent connection, taken from its certificate alone. */
export interface Peer {
  nodeId: string;
  /** Lower-case hex without leading zeros. */
  serial: string;
  notAfter: Date;
  /** Past its end but within the grace period: it may renew and nothing else. */
  isExpired: boolean;
}

/** An agent that slept through its certificate's end may still renew it for this long. */
export const renewalGraceMs = 30 * 24 * 3600_000;

const nodeUri = /^URI:trigon:\/\/node\/([A-Za-z0-9][A-Za-z0-9_-]{0,62})$/;
/** extendedKeyUsage clientAuth, RFC 5280 4.2.1.12. */
const clientAuth = "1.3.6.1.5.5.7.3.2";

export const canonicalSerial = (serial: string) => serial.toLowerCase().replace(/^0+(?=.)/, "");

/**
 * The peer that `certificate` names, or null when it is none of ours. Checks the signature of our CA itself: of an expired certificate
 * OpenSSL reports only that it has expired.
 */
export function peerIdentity(certificate: X509Certificate | undefined, ca: X509Certificate, now: number): Peer | null {
  if (!certificate) return null;
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) return null;
  if (certificate.ca || !certificate.keyUsage?.includes(clientAuth)) return null;
  const match = nodeUri.exec(certificate.subjectAltName ?? "");
  const notAfter = new Date(certificate.validTo);
  if (!match || now < Date.parse(certificate.validFrom) || now > notAfter.getTime() + renewalGraceMs) return null;
  return {
    nodeId: match[1]!,
    serial: canonicalSerial(certificate.serialNumber),
    notAfter,
    isExpired: now > notAfter.getTime(),
  };
}
