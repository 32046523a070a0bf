/**
 * A growing byte buffer. Netlink integers are in the host's order, and every platform this runs on (the prebuilt
 * sockets of npm `netlink` are x64, arm64, arm and ia32) is little-endian.
 */
export class Writer {
  buffer: Buffer;
  position = 0;

  constructor(capacity = 4096) {
    this.buffer = Buffer.allocUnsafe(capacity);
  }

  /** Makes room for `size` more bytes and returns where they start. */
  reserve(size: number): number {
    const start = this.position;
    const end = start + size;
    if (end > this.buffer.length) this.grow(end);
    this.position = end;
    return start;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.reserve(2);
    this.setU16(at, value);
  }

  u32(value: number): void {
    const at = this.reserve(4);
    this.setU32(at, value);
  }

  setU16(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
  }

  setU32(at: number, value: number): void {
    const { buffer } = this;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  bytes(value: Uint8Array): void {
    const at = this.reserve(value.length);
    if (value.length > 32) this.buffer.set(value, at);
    else for (let i = 0; i < value.length; i++) this.buffer[at + i] = value[i]!; // cheaper than a call into V8 for so few
  }

  /** Zero bytes up to the next multiple of four (NLA_ALIGN, NLMSG_ALIGN): the buffer is reused, so it holds old bytes. */
  align(): void {
    while (this.position & 3) this.u8(0);
  }

  /** What was written, as a view: valid until the next write. */
  written(): Buffer {
    return this.buffer.subarray(0, this.position);
  }

  private grow(needed: number): void {
    const bigger = Buffer.allocUnsafe(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(bigger, 0, 0, this.position);
    this.buffer = bigger;
  }
}
