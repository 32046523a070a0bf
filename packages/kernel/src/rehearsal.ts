import { kindOfKey, type Resource } from "@trigon/model";
import { IpvsClient, NetlinkSocket, type RawSocket } from "@trigon/netlink";
import type { Kernel } from "@trigon/reconciler";
import type { ActionOn } from "./adapter.ts";
import { done } from "./failure.ts";
import { IpvsAdapter } from "./ipvs.ts";

type IpvsAction = ActionOn<"ipvsService" | "ipvsDestination">;

/**
 * An empty kernel in memory that grants everything. Changes of the IPVS table go the very way of real ones, down to the bytes of each message,
 * which nobody reads: whoever rehearses on it has that way's code compiled and its memory at hand.
 */
export function createRehearsalKernel(): Pick<Kernel, "observe" | "apply" | "found"> {
  const client = IpvsClient.of(new NetlinkSocket(new AgreeingSocket()), 0);
  const ipvs = new IpvsAdapter(async () => client);
  const held = new Map<string, Resource>();
  return {
    async observe(keys) {
      const seen = new Map<string, Resource>();
      for (const key of keys) {
        const resource = held.get(key);
        if (resource) seen.set(key, resource);
      }
      return seen;
    },
    async apply(actions) {
      for (const action of actions) if (action.op !== "delete") held.set(action.to.key, action.to);
      const changes = actions.filter((action) => action.op !== "delete" && kindOfKey(action.to.key).startsWith("ipvs"));
      await ipvs.apply(changes as IpvsAction[]);
      return actions.map(() => done);
    },
    found: async () => new Map(),
  };
}

const NLMSG_ERROR = 2;

type Listener = (bytes: Buffer, from: { port: number }) => void;

/** Acknowledges the last message of every send. */
class AgreeingSocket implements RawSocket {
  #listener: Listener = () => undefined;

  send(bytes: Buffer): void {
    let last = 0;
    for (let at = 0; at < bytes.length; at += (bytes.readUInt32LE(at) + 3) & ~3) last = at;
    // struct nlmsghdr and the errno of struct nlmsgerr, 0
    const answer = Buffer.alloc(20);
    answer.writeUInt32LE(answer.length, 0);
    answer.writeUInt16LE(NLMSG_ERROR, 4);
    answer.writeUInt32LE(bytes.readUInt32LE(last + 8), 8);
    queueMicrotask(() => this.#listener(answer, { port: 0 }));
  }

  on(event: string, listener: (...values: never[]) => void): void {
    if (event === "message") this.#listener = listener as Listener;
  }

  close(): void {}
  ref(): void {}
  unref(): void {}
}
