import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeFrame, FrameDecoder } from "./frames.ts";

test("a frame is its type, its length in network order, and its payload", () => {
  expect(encodeFrame("R", "ab").toString("hex")).toBe("52000000026162");
  expect(encodeFrame("E").toString("hex")).toBe("4500000000");
});

test("frames come back whole however the stream is cut", () => {
  const frame = fc.tuple(fc.constantFrom("R", "I", "E", "S", "P", "O", "X"), fc.uint8Array({ maxLength: 300 }));
  fc.assert(
    fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
      const stream = Buffer.concat(frames.map(([type, payload]) => encodeFrame(type as "R", Buffer.from(payload))));
      const decoder = new FrameDecoder();
      const decoded: [string, string][] = [];
      for (let offset = 0, turn = 0; offset < stream.length; turn += 1) {
        const size = cuts[turn % cuts.length]!;
        for (const { type, payload } of decoder.push(stream.subarray(offset, offset + size)))
          decoded.push([type, payload.toString("hex")]);
        offset += size;
      }
      expect(decoded).toEqual(frames.map(([type, payload]) => [type, Buffer.from(payload).toString("hex")]));
    }),
  );
});
