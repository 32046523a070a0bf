/** One regular file as a tar archive (POSIX.1-1988 ustar) without owner or time, so that the same content gives the same bytes. */
export function tarOfFile(name: string, mode: number, content: Uint8Array): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`too long for a ustar name: ${name}`);
  const header = Buffer.alloc(512);
  const field = (text: string, at: number) => header.write(text, at, "latin1");
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  field(name, 0);
  field(octal(mode, 7), 100);
  field(octal(0, 7), 108);
  field(octal(0, 7), 116);
  field(octal(content.byteLength, 11), 124);
  field(octal(0, 11), 136);
  field("        ", 148); // the checksum counts its own field as spaces
  field("0", 156);
  field("ustar\u000000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  field(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.byteLength % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
}
