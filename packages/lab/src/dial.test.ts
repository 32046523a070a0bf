import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dial, withSocketPath } from "./dial.ts";

test("a folder without a lab is told from an address that nobody listens on", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lab-dial-"));
  await expect(dial(folder, "10.0.0.1", 80)).rejects.toMatchObject({ name: "DialError", missing: "lab" });
  const server = net.createServer((socket) => socket.end("HTTP/1.1 502 ECONNREFUSED\r\n\r\n")).listen(join(folder, "dial.sock"));
  await expect(dial(folder, "10.0.0.1", 80)).rejects.toMatchObject({ missing: "target", message: "10.0.0.1:80: ECONNREFUSED" });
  server.close();
  rmSync(folder, { recursive: true });
});

test("a socket works in a folder too deep for sockaddr_un, and bytes that came with the answer are not lost", async () => {
  const top = mkdtempSync(join(tmpdir(), "lab-deep-"));
  const deep = join(top, "d".repeat(90), "e".repeat(90));
  mkdirSync(deep, { recursive: true });
  const server = net.createServer((socket) => socket.resume().end("HTTP/1.1 200 OK\r\n\r\nearly"));
  const { result, release } = withSocketPath(deep, "dial.sock", (path) => new Promise<void>((done) => server.listen(path, done)));
  await result;
  const stream = await dial(deep, "10.0.0.1", 80);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe("early");
  stream.destroy();
  await new Promise((done) => server.close(done));
  release();
  rmSync(top, { recursive: true });
});
