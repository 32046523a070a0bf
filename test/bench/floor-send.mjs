// The floor of the apply bench: bytes made beforehand go through npm netlink's raw socket, one ACK asked of each send's last message.
// floor-send.mjs FILE FAMILY: FILE is a run of [u32 length][one send]; the family id is patched in. Says "ready", waits for a line, sends.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { RawNetlinkSocket } from "netlink";

const [file, family] = process.argv.slice(2);
const bytes = readFileSync(file);
const sends = [];
for (let at = 0; at < bytes.length; ) {
  const size = bytes.readUInt32LE(at);
  const send = bytes.subarray(at + 4, at + 4 + size);
  for (let message = 0; message < size; message += (send.readUInt32LE(message) + 3) & ~3)
    send.writeUInt16LE(Number(family), message + 4);
  sends.push(send);
  at += 4 + size;
}
const socket = new RawNetlinkSocket(16, { messagePeeking: true, recvBufferSize: 1 << 22, sendBufferSize: 1 << 22 });
let acknowledged = () => {};
socket.on("message", () => acknowledged());
console.log("ready");
for await (const _ of createInterface({ input: process.stdin })) {
  for (const send of sends) {
    const answered = new Promise((done) => {
      acknowledged = done;
    });
    await socket.send(send);
    await answered;
  }
  break;
}
socket.close();
process.exit(0);
