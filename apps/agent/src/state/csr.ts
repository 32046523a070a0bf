import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";

/** One DER element: tag, length, content (X.690). */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const length = body.length > 0xff ? [0x82, body.length >> 8, body.length & 0xff] : [0x81, body.length];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const tags = { integer: 0x02, bitString: 0x03, oid: 0x06, utf8: 0x0c, sequence: 0x30, set: 0x31, attributes: 0xa0 } as const;
const oids = {
  commonName: Buffer.from([0x55, 0x04, 0x03]),
  ecdsaWithSha256: Buffer.from([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]),
} as const;

const bits = (bytes: Buffer) => der(tags.bitString, Buffer.from([0]), bytes);

/** A PKCS#10 request (RFC 2986) that proves possession of the key. The signer takes nothing but the public key from it. */
export function certificateRequest(privateKey: KeyObject, publicKey: KeyObject, commonName: string): string {
  const name = der(
    tags.sequence,
    der(tags.set, der(tags.sequence, der(tags.oid, oids.commonName), der(tags.utf8, Buffer.from(commonName)))),
  );
  const info = der(
    tags.sequence,
    der(tags.integer, Buffer.from([0])),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(tags.attributes),
  );
  const signature = sign("sha256", info, privateKey);
  const request = der(tags.sequence, info, der(tags.sequence, der(tags.oid, oids.ecdsaWithSha256)), bits(signature));
  const lines = request.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${lines.join("\n")}\n-----END CERTIFICATE REQUEST-----\n`;
}

/** A fresh P-256 key and the request for its certificate. */
export function newKeyAndRequest(commonName: string): { keyPem: string; csrPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    keyPem: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    csrPem: certificateRequest(privateKey, publicKey, commonName),
  };
}
