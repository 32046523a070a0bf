/** Frames of the exec channel: type (1 byte), length (4 bytes, big endian), payload. See guest/labd.py, ExecServer. */
export type FrameType = "R" | "I" | "E" | "S" | "P" | "O" | "X";

export interface Frame {
  type: string;
  payload: Buffer;
}

export function encodeFrame(type: FrameType, payload: Buffer | string = ""): Buffer {
  const body = Buffer.from(payload);
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Turns a byte stream, cut anywhere, into frames. */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #size = 0;

  /** Adds bytes; answers every frame that is now complete. */
  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    const frames: Frame[] = [];
    for (;;) {
      if (this.#size < 5) return frames;
      const head = this.#peek(5);
      const length = head.readUInt32BE(1);
      if (this.#size < 5 + length) return frames;
      const whole = this.#peek(5 + length);
      frames.push({ type: String.fromCharCode(whole[0]!), payload: whole.subarray(5, 5 + length) });
      this.#chunks = [whole.subarray(5 + length)];
      this.#size -= 5 + length;
    }
  }

  /** The first chunk, made at least this long (joins only when it must, so a large frame is copied once). */
  #peek(length: number): Buffer {
    if (this.#chunks[0]!.length < length) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }
}
