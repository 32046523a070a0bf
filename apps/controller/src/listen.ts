import { rm } from "node:fs/promises";
import { createServer, type Server as Door, type Socket } from "node:net";
import type { Server } from "node:tls";
import type { ListenAddress } from "./config.ts";

export interface Listening {
  /** The TCP ports that are really open, in the order asked for; 0 for a unix socket. */
  ports: number[];
  close(): Promise<void>;
}

/** Opens one TLS server on several addresses: TCP or unix sockets. */
export async function listenOn(server: Server, addresses: readonly ListenAddress[]): Promise<Listening> {
  const sockets = new Set<Socket>();
  const doors: Door[] = [];
  for (const address of addresses) {
    const door = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 }, (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      server.emit("connection", socket);
    });
    if ("path" in address) await rm(address.path, { force: true });
    await new Promise<void>((resolve, reject) => {
      door.once("error", reject);
      if ("path" in address) door.listen(address.path, resolve);
      else door.listen(address.port, address.host, resolve);
    });
    doors.push(door);
  }
  return {
    ports: doors.map((door) => {
      const bound = door.address();
      return typeof bound === "object" && bound !== null ? bound.port : 0;
    }),
    async close() {
      const closed = doors.map((door) => new Promise<void>((resolve) => door.close(() => resolve())));
      // Streams never end by themselves: whoever is here is cut, and comes back to another replica or the next start.
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}
