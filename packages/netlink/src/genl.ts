import { attr, attributes, cstring, u16, u32 } from "./codec.ts";
import { NetlinkError } from "./errors.ts";
import { beginMessage, endMessage } from "./message.ts";
import type { NetlinkSocket } from "./transport.ts";
import { Writer } from "./writer.ts";

/** struct genlmsghdr of <linux/genetlink.h>: command u8, version u8, reserved u16. */
export const GENL_HEADER = 4;
/** GENL_ID_CTRL, CTRL_CMD_GETFAMILY of <linux/genetlink.h>. */
const CONTROLLER = 0x10;
const GET_FAMILY = 3;

/** CTRL_ATTR_* of <linux/genetlink.h>, as far as it takes to find a family. */
export const controllerAttributes = attributes({
  id: attr(1, u16),
  name: attr(2, cstring(16)),
  version: attr(3, u32),
  headerSize: attr(4, u32),
  maxAttribute: attr(5, u32),
});

/** Appends the headers of a generic netlink message; `endMessage` of message.ts takes what this returns. */
export function beginGeneric(writer: Writer, family: number, command: number, version: number): number {
  const start = beginMessage(writer, family, 0);
  writer.u32(command | (version << 8));
  return start;
}

export interface GenericFamily {
  id: number;
  version: number;
}

/** Asks the kernel for a family by name. ENOENT when no module has registered it: loading one is not this package's business. */
export async function resolveFamily(socket: NetlinkSocket, name: string): Promise<GenericFamily> {
  const writer = new Writer(64);
  const start = beginGeneric(writer, CONTROLLER, GET_FAMILY, 1);
  controllerAttributes.write(writer, { name });
  endMessage(writer, start);
  const what = `find generic netlink family ${name}`;
  const [reply] = await socket.request(writer.written(), what);
  const found = reply && controllerAttributes.decode(reply.payload.subarray(GENL_HEADER));
  if (found?.id === undefined) throw new NetlinkError(2, what, "the answer names no family");
  return { id: found.id, version: found.version ?? 1 };
}
