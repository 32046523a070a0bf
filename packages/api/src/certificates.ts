import { createHash, X509Certificate as NodeCertificate, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import type { Database } from "@trigon/db";
import { DomainError } from "@trigon/model";
import { secret } from "./secrets.ts";
import { x509 } from "./x509.ts";

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const daySeconds = 86_400;
const clockSkewMs = 300_000;
const caDays = 3650;
const serverDays = 397; // the most that browsers accept of a leaf

/** How long a node's certificate lasts unless told otherwise, in seconds; agents renew at two thirds of it. */
export const nodeCertificateSeconds = 30 * 86_400;

/** A PEM certificate with its private key. */
export interface KeyPair {
  certificate: string;
  key: string;
  notAfter: Date;
}

export interface Certificates {
  /** The appliance's own CA, PEM. */
  ca: string;
  /** SHA-256 of the CA certificate's DER, hex: what an enrollment token carries. */
  caSha256: string;
  /**
   * A leaf for a listener, made anew at each call. Its key is kept in the database: it stays the same across renewals and replicas, so
   * that a pin in somebody's shell history stays true.
   */
  server(listener: "front" | "agent", names: readonly string[]): Promise<KeyPair>;
  /**
   * A client certificate for a node. Only the public key is taken from the request; who it is comes from the token or the peer's
   * certificate. Throws `csr.invalid`.
   */
  signNode(csr: string, nodeId: string): Promise<{ certificate: string; serial: string; notAfter: Date }>;
}

/** Opens the CA of this database, made at the first start. `now` in milliseconds, for tests. */
export async function openCertificates(
  db: Database,
  secretKey: Buffer,
  { now = Date.now, nodeSeconds = nodeCertificateSeconds }: { now?: () => number; nodeSeconds?: number } = {},
): Promise<Certificates> {
  const pem = JSON.parse(await secret(db, secretKey, "ca", () => makeCa(now()))) as { certificate: string; key: string };
  const ca = { certificate: new x509.X509Certificate(pem.certificate), key: await importKey(pem.key) };

  async function issue(leaf: {
    subject: string;
    publicKey: CryptoKey;
    seconds: number;
    usage: string;
    names: x509.JsonGeneralName[];
  }) {
    const publicKey = leaf.publicKey;
    return x509.X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: leaf.subject,
      issuer: ca.certificate.subject,
      // A tenth at the most: two thirds of a short life must not be over when it begins.
      notBefore: new Date(now() - Math.min(clockSkewMs, leaf.seconds * 100)),
      notAfter: new Date(now() + leaf.seconds * 1000),
      signingKey: ca.key,
      publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([leaf.usage], false),
        new x509.SubjectAlternativeNameExtension(leaf.names, false),
        await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
      ],
    });
  }

  return {
    ca: pem.certificate,
    caSha256: createHash("sha256").update(Buffer.from(ca.certificate.rawData)).digest("hex"),

    async server(listener, names) {
      const kept = await secret(db, secretKey, `${listener}-key`, async () => exportKey((await newKeys()).privateKey));
      const publicKey = await publicKeyOf(kept);
      const certificate = await issue({
        subject: `CN=${names[0] ?? "trigon"}`,
        publicKey,
        seconds: serverDays * daySeconds,
        usage: x509.ExtendedKeyUsage.serverAuth,
        names: names.map((value) => ({ type: isIP(value) ? "ip" : "dns", value })),
      });
      return { certificate: toPem(certificate), key: kept, notAfter: certificate.notAfter };
    },

    async signNode(csr, nodeId) {
      const publicKey = await checkedKeyOf(csr);
      const certificate = await issue({
        subject: `CN=${nodeId}`,
        publicKey,
        seconds: nodeSeconds,
        usage: x509.ExtendedKeyUsage.clientAuth,
        names: [{ type: "url", value: `trigon://node/${nodeId}` }],
      });
      return {
        certificate: toPem(certificate),
        serial: canonicalSerial(certificate.serialNumber),
        notAfter: certificate.notAfter,
      };
    },
  };
}

/** curl's `--pinnedpubkey`: SHA-256 of the leaf's SubjectPublicKeyInfo, base64. */
export function publicKeyPin(certificate: string): string {
  const spki = new NodeCertificate(certificate).publicKey.export({ type: "spki", format: "der" });
  return `sha256//${createHash("sha256").update(spki).digest("base64")}`;
}

/** Serials in one form: lower-case hex without leading zeros (Node prints upper case). */
export const canonicalSerial = (serial: string): string => serial.toLowerCase().replace(/^0+(?=.)/, "");

async function checkedKeyOf(csr: string): Promise<CryptoKey> {
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(csr);
  } catch (cause) {
    throw new DomainError("csr.invalid", "The certificate request is not PEM of PKCS #10.", [], { cause });
  }
  const { name, namedCurve } = request.publicKey.algorithm as webcrypto.EcKeyAlgorithm;
  if (name !== "ECDSA" || namedCurve !== "P-256") throw new DomainError("csr.invalid", "The key must be ECDSA P-256.");
  if (!(await request.verify().catch(() => false))) {
    throw new DomainError("csr.invalid", "The certificate request is not signed by its own key.");
  }
  return request.publicKey.export();
}

async function makeCa(now: number): Promise<string> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: `CN=Trigon CA ${randomBytes(3).toString("hex")}`,
    notBefore: new Date(now - clockSkewMs),
    notAfter: new Date(now + caDays * daySeconds * 1000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return JSON.stringify({ certificate: toPem(certificate), key: await exportKey(keys.privateKey) });
}

/** 16 random bytes, positive: a serial is what revocation names, so none is used twice. */
function newSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString("hex");
}

const newKeys = () => webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;

// The library's PEM has no newline at its end; two of them joined would not parse.
const toPem = (certificate: x509.X509Certificate) => `${certificate.toString("pem").trimEnd()}\n`;

async function exportKey(key: CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY")}\n`;
}

function importKey(pem: string): Promise<CryptoKey> {
  return webcrypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(pem), algorithm, true, ["sign"]);
}

async function publicKeyOf(privatePem: string): Promise<CryptoKey> {
  const { kty, crv, x, y } = await webcrypto.subtle.exportKey("jwk", await importKey(privatePem));
  return webcrypto.subtle.importKey("jwk", { kty, crv, x, y }, algorithm, true, ["verify"]);
}
