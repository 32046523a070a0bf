import { until } from "@trigon/lab";
import type { DirectorGroupSpec, DirectorGroupView } from "@trigon/model";
import { ifMatch, type TestWorld } from "./use-world.ts";

/** The world's two directors. */
export const directors = ["dir1", "dir2"];
export const peerOf = (name: string) => directors.find((other) => other !== name)!;

/** The group of the world's two directors, by the API and by what their kernels hold. */
export function pairOf(world: TestWorld) {
  const groupNow = async () =>
    (await world.api.call<{ data: DirectorGroupView[] }>("GET", "/director-groups")).data.find(
      ({ members }) => members.length === 2,
    )!;
  return {
    groupNow,

    /** Changes some fields of the group, as it is now. */
    async put(change: Partial<DirectorGroupSpec>): Promise<void> {
      const { id, revision: _revision, members: _members, status: _status, ...spec } = await groupNow();
      const path = `/director-groups/${id}`;
      await world.api.call("PUT", path, { ...spec, ...change }, await ifMatch(world.api, path));
    },

    becomes: (phase: DirectorGroupView["status"]["phase"]) =>
      until(`the group to be ${phase}`, async () => (await groupNow()).status.phase === phase, {
        deadlineMs: 120_000,
        everyMs: 250,
      }),

    /** Waits until the members are a pair, of which one could take over. */
    ready: () =>
      until(
        "a peer that could take over",
        async () => {
          const { phase, move } = (await groupNow()).status;
          return phase === "paired" && move.toNodeId !== null;
        },
        { deadlineMs: 120_000, everyMs: 250 },
      ),

    /** By `ip`: on which directors an address is. */
    async holders(address: string): Promise<string[]> {
      const on = await Promise.all(
        directors.map(async (name) => ((await world.lab.host(name).sh("ip -o addr")).includes(` ${address}/`) ? [name] : [])),
      );
      return on.flat();
    },

    /** How many connections the kernel of a director was told of by its peer. */
    told: async (name: string) =>
      Number(await world.lab.host(name).sh("grep -c ESTABLISHED.*SYNC /proc/net/ip_vs_conn_sync || :")),
  };
}
