import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import path from "node:path";
import type { Database } from "@trigon/db";

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const version = 1;

/** The key that opens the secrets in the database. Made at the first start; every replica needs the same file. */
export async function loadSecretKey(file: string): Promise<Buffer> {
  await fs.mkdir(path.dirname(file), { recursive: true });
  try {
    await fs.writeFile(file, `${randomBytes(keyBytes).toString("base64")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const key = Buffer.from(await fs.readFile(file, "utf8"), "base64");
  if (key.length !== keyBytes) throw new Error(`${file} is no secret key: it must hold ${keyBytes} bytes in base64`);
  return key;
}

/** AES-256-GCM: version, nonce, tag, text. The name is authenticated with it, so that secrets cannot be swapped. */
export function seal(key: Buffer, name: string, text: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(name));
  const body = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([Buffer.from([version]), nonce, cipher.getAuthTag(), body]);
}

/** Throws when the key, the name or a byte is wrong. */
export function open(key: Buffer, name: string, sealed: Uint8Array): string {
  const bytes = Buffer.from(sealed);
  if (bytes[0] !== version) throw new Error(`The secret "${name}" is of an unknown version`);
  const nonce = bytes.subarray(1, 1 + nonceBytes);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(name));
  decipher.setAuthTag(bytes.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes));
  try {
    return decipher.update(bytes.subarray(1 + nonceBytes + tagBytes), undefined, "utf8") + decipher.final("utf8");
  } catch (cause) {
    throw new Error(`The secret "${name}" does not open: this is not the key file of this database`, { cause });
  }
}

/** The secret of this name; made and kept when there is none. Replicas that start together agree on one. */
export async function secret(db: Database, key: Buffer, name: string, make: () => Promise<string>): Promise<string> {
  const kept = await db.prisma.secret.findUnique({ where: { name } });
  if (kept) return open(key, name, kept.value);
  const value = new Uint8Array(seal(key, name, await make()));
  await db.prisma.secret.createMany({ data: [{ name, value }], skipDuplicates: true });
  const first = await db.prisma.secret.findUniqueOrThrow({ where: { name } });
  return open(key, name, first.value);
}
