import { endpoint, type SearchHit, type SearchKind } from "@trigon/model";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { fit, isAsked, parseSearch } from "./search-query.ts";
import { contains } from "./text-filter.ts";

type Found = SearchHit & { rank: number };

/** Finds any object by its name, its id, or an address that it has anything to do with. */
export function search({ db, store }: ServiceContext): Services["search"] {
  return {
    async find({ q, limit }) {
      const query = parseSearch(q);
      const { words, network, port } = query;
      const answer = { data: [] as SearchHit[], address: network?.text ?? null };
      if (words.length === 0 && !network) return answer;
      const state = await store.refresh();
      const found: Found[] = [];
      /** By address when one was asked for; the words beside it must fit as well. */
      const look = (hit: SearchHit, addresses: readonly string[], ...texts: readonly string[]) => {
        if (network && !addresses.some((address) => isAsked(query, address))) return;
        const rank = words.length === 0 ? 0 : hit.id === words[0] ? 0 : fit(words, hit.name, hit.id, ...addresses, ...texts);
        if (rank !== undefined) found.push({ ...hit, rank });
      };
      for (const { id, spec } of state.liveServices()) {
        const use = network ? ("vip" as const) : null;
        const name = { id, name: spec.name };
        if (port === null || port === spec.port)
          look(
            { kind: "virtualService", ...name, address: endpoint(spec.vip, spec.port), use, role: null },
            [spec.vip],
            spec.description,
          );
        // By words a real server is found through its service or its node; only what looks like an address means the RIP.
        const rips = network
          ? spec.realServers.filter(({ rip }) => isAsked(query, rip))
          : spec.realServers.filter(
              ({ rip }) => words.length === 1 && /^[\da-f.:]{3,}$/.test(words[0]!) && rip.startsWith(words[0]!),
            );
        for (const { rip, port: own } of rips) {
          if (port !== null && port !== (own ?? spec.port)) continue;
          const hit = {
            kind: "realServer" as const,
            ...name,
            address: endpoint(rip, own ?? spec.port),
            use: "rip" as const,
            role: null,
          };
          if (network) look(hit, [rip]);
          else found.push({ ...hit, rank: 1 });
        }
      }
      for (const node of state.nodes.values()) {
        const addresses =
          node.facts?.interfaces
            .filter(({ name }) => name !== "lo")
            .flatMap((leg) => leg.addresses.map(({ address }) => address)) ?? [];
        const asked = addresses.find((address) => isAsked(query, address));
        const hit = {
          kind: "node" as const,
          id: node.id,
          name: node.name,
          use: network ? ("node" as const) : null,
          role: node.role,
        };
        if (port === null) look({ ...hit, address: asked ?? addresses[0] ?? null }, addresses, node.role);
      }
      if (!network) {
        for (const { id, name } of state.liveGroups())
          look({ kind: "directorGroup", id, name, address: null, use: null, role: null }, []);
        found.push(...(await changesOf(words)));
      }
      const sorted = found.sort((a, b) => a.rank - b.rank || a.name.localeCompare(b.name, "en"));
      const counts = new Map<SearchKind, number>();
      answer.data = sorted.flatMap(({ rank: _rank, ...hit }) => {
        const count = (counts.get(hit.kind) ?? 0) + 1;
        counts.set(hit.kind, count);
        return count <= limit ? [hit] : [];
      });
      return answer;
    },
  };

  /** Changes by their own id, or by that of what they changed. A name finds its object, whose page has them all. */
  async function changesOf(words: readonly string[]): Promise<Found[]> {
    const [word = ""] = words;
    if (words.length > 1 || !/^[a-z]+_[0-9a-z]{2,}$/.test(word)) return [];
    const rows = await db.prisma.change.findMany({
      where: { OR: [{ id: contains(word) }, { objectId: word }] },
      select: { id: true, objectName: true },
      orderBy: { at: "desc" },
      take: 20,
    });
    return rows.map(({ id, objectName }) => ({
      kind: "change",
      id,
      name: objectName,
      address: null,
      use: null,
      role: null,
      rank: id === word ? 0 : 1,
    }));
  }
}
