import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Facts, Fragment, type Resource } from "@trigon/model";
import { commandsFor, resolveFragment } from "@trigon/planner";
import { Desired, diff } from "@trigon/reconciler";
import { expect, test } from "vitest";

const cases = readdirSync(import.meta.dirname).filter((name) => existsSync(join(import.meta.dirname, name, "plan.json")));

/** A case is a node's plan and facts, what its kernel holds, and the commands by hand that would do the same. */
test.each(cases)("%s", async (name) => {
  const file = (which: string) => join(import.meta.dirname, name, which);
  const read = (which: string): unknown => JSON.parse(readFileSync(file(which), "utf8"));
  const facts = Facts.parse(read("facts.json"));
  const observed = (existsSync(file("observed.json")) ? read("observed.json") : []) as Resource[];
  const desired = new Desired();
  for (const fragment of Fragment.array().parse(read("plan.json"))) {
    desired.replace(fragment.id, fragment.hash, resolveFragment(fragment, facts));
  }
  const { build, remove, conflicts } = diff({
    keys: desired.keys(),
    desired: (key) => desired.get(key),
    observed: new Map(observed.map((resource) => [resource.key, resource])),
    claim: () => undefined,
  });
  expect(conflicts).toEqual([]);
  const lines = [...build, ...remove].flatMap((step) => commandsFor(step));
  await expect(lines.map((line) => `${line}\n`).join("")).toMatchFileSnapshot(file("actions.txt"));
});
