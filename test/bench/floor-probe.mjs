// The floor of the health bench: what connections alone cost in Node. No verdicts, deadlines, latencies or services; every address is connected to
// once a second, evenly spread, on the agent's beat, and let go. floor-probe.mjs FILE: addresses, one a line; their port is 80.
import { readFileSync } from "node:fs";
import { Socket } from "node:net";

const beatMs = 50;
const addresses = readFileSync(process.argv[2], "utf8").trim().split("\n");
const letGo = function () {
  this.destroy();
};
const failed = (error) => {
  console.error(error.message);
  process.exit(1);
};
const begunAt = performance.now();
let begun = 0;
setInterval(() => {
  const due = Math.floor(((performance.now() - begunAt) / 1000) * addresses.length);
  for (; begun < due; begun += 1) {
    const socket = new Socket();
    socket.pause();
    socket.once("connect", letGo);
    socket.once("error", failed);
    socket.connect({ host: addresses[begun % addresses.length], port: 80 });
  }
}, beatMs);
