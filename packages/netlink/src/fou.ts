import { attr, attributes, CodecError, flag, u8, u16be } from "./codec.ts";
import { beginGeneric, GENL_HEADER, type GenericFamily, resolveFamily } from "./genl.ts";
import { AF_INET, AF_INET6, type Family, familyNumber } from "./inet.ts";
import { endMessage } from "./message.ts";
import { NETLINK_GENERIC, NetlinkSocket, type TransportOptions } from "./transport.ts";
import { Writer } from "./writer.ts";

/** FOU_CMD_* and FOU_ENCAP_* of <linux/fou.h>. */
const command = { add: 1, del: 2, get: 3 } as const;
const encapTypes = { direct: 1, gue: 2 } as const;

/** FOU_ATTR_* of <linux/fou.h>. */
export const fouAttributes = attributes({
  port: attr(1, u16be),
  family: attr(2, u8),
  ipProtocol: attr(3, u8),
  type: attr(4, u8),
  remcsumNoPartial: attr(5, flag),
});

/** A UDP port whose packets the kernel unwraps: GUE says inside what it holds, plain FOU holds `ipProtocol`. */
export type FouPort = { family: Family; port: number } & ({ type: "gue" } | { type: "direct"; ipProtocol: number });

/** The receiving side of GUE and FOU tunnels (`ip fou`). Errors: EADDRINUSE the port is taken, EINVAL no such port. */
export class FouClient {
  readonly #socket: NetlinkSocket;
  readonly #family: GenericFamily;

  private constructor(socket: NetlinkSocket, family: GenericFamily) {
    this.#socket = socket;
    this.#family = family;
  }

  /** ENOENT while the fou module is not loaded. */
  static async open(options?: TransportOptions): Promise<FouClient> {
    const socket = NetlinkSocket.open(NETLINK_GENERIC, options);
    try {
      return new FouClient(socket, await resolveFamily(socket, "fou"));
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  async list(): Promise<FouPort[]> {
    const parts = await this.#socket.dump(this.#encode(command.get), "list fou ports");
    return parts.map(({ payload }) => portFromWire(payload.subarray(GENL_HEADER)));
  }

  async add(port: FouPort): Promise<void> {
    await this.#socket.request(this.#encode(command.add, port), `add fou port ${port.port}`);
  }

  async delete(port: Pick<FouPort, "family" | "port">): Promise<void> {
    await this.#socket.request(this.#encode(command.del, port), `delete fou port ${port.port}`);
  }

  #encode(number: number, port?: Pick<FouPort, "family" | "port"> & Partial<FouPort>): Buffer {
    const writer = new Writer(64);
    const start = beginGeneric(writer, this.#family.id, number, 1);
    if (port) {
      fouAttributes.write(writer, {
        port: port.port,
        family: familyNumber(port.family),
        ...(port.type && { type: encapTypes[port.type] }),
        ...(port.type === "direct" && { ipProtocol: port.ipProtocol }),
      });
    }
    endMessage(writer, start);
    return writer.written();
  }
}

function portFromWire(payload: Buffer): FouPort {
  const { port, family, type, ipProtocol } = fouAttributes.decode(payload);
  if (port === undefined || (family !== AF_INET && family !== AF_INET6))
    throw new CodecError("a fou port names no port or family");
  const common = { family: family === AF_INET ? "inet" : "inet6", port } as const;
  return type === encapTypes.gue ? { ...common, type: "gue" } : { ...common, type: "direct", ipProtocol: ipProtocol ?? 0 };
}
