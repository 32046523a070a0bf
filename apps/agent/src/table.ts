import { type Resource, reportLimits, type TableRow } from "@trigon/model";
import { textOf } from "@trigon/planner";
import { type Desired, meets } from "@trigon/reconciler";

/** What the rows are made from: wanted, last seen, and what is not ours. */
export interface TableSource {
  desired: Desired;
  seen: ReadonlyMap<string, Resource>;
  foreign: readonly Resource[];
}

/** "What it should hold" beside "what it holds", in ipvsadm and ip words. Wrong rows come first when not all fit. */
export function tableOf({ desired, seen, foreign }: TableSource, limit: number = reportLimits.tableRows) {
  const wrong: TableRow[] = [];
  const right: TableRow[] = [];
  for (const resource of desired.resources()) {
    const row = rowOf(resource, seen.get(resource.key));
    if (row.state !== "ok") wrong.push(row);
    else if (right.length < limit) right.push(row);
  }
  const others = foreign.map(
    (resource): TableRow => ({
      key: resource.key,
      desired: null,
      observed: textOf(resource),
      state: "foreign",
      resource: { ...resource },
    }),
  );
  return { rows: [...wrong, ...others, ...right].slice(0, limit), total: desired.size + foreign.length };
}

function rowOf(want: Resource, have: Resource | undefined): TableRow {
  const base = { key: want.key, desired: textOf(want), observed: have ? textOf(have) : null };
  if (!have) return { ...base, state: mayBeAbsent(want) ? "ok" : "missing" };
  return { ...base, state: meets(have, want) ? "ok" : "different" };
}

function mayBeAbsent(want: Resource): boolean {
  return (want.kind === "sysctl" || want.kind === "linkState") && want.ifPresent === true;
}
