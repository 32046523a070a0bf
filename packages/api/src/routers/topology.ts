import { Id, SearchView, TopologyView } from "@trigon/model";
import { z } from "zod";
import { procedure, router } from "../trpc.ts";
import { every } from "./every.ts";

/** `query`: words of a name, a VIP or a RIP. */
const TopologyInput = z.strictObject({ query: z.string().max(200).optional(), serviceId: Id.optional() });
const topologyIntervalMs = 2_000;

export const topologyRouter = router({
  get: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/topology",
        tag: "Fleet",
        summary: "Services, directors and the ways to their real servers, with traffic and what stands in the way",
      },
    })
    .input(TopologyInput)
    .output(TopologyView)
    .query(({ ctx, input }) => ctx.services.topology.get(input)),

  watch: procedure.input(TopologyInput).subscription(async function* ({ ctx, input, signal }) {
    let last = "";
    for await (const _ of every(topologyIntervalMs, signal)) {
      const view = await ctx.services.topology.get(input);
      const text = JSON.stringify(view);
      if (text === last) continue;
      last = text;
      yield view;
    }
  }),
});

/** `limit`: so many of each kind. */
const SearchInput = z.strictObject({ q: z.string().max(200), limit: z.int().min(1).max(100).default(8) });

export const searchRouter = router({
  find: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/search",
        tag: "Fleet",
        summary: "Find any object by name, id, address, address and port, or network",
      },
    })
    .input(SearchInput)
    .output(SearchView)
    .query(({ ctx, input }) => ctx.services.search.find(input)),
});
