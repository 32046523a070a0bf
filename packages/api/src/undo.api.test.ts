import type { VirtualServiceInput } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createRest } from "./rest.ts";
import { createTestFleet, factsOf, secretKey, specOf, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await createTestFleet();
  await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
});
afterAll(() => fleet.close());

const spec = (more: Partial<VirtualServiceInput> = {}) => specOf({ forwarding: "nat", ...more });
const newest = async (query: string) => (await fleet.caller.change.list({ query })).data[0]!;
/** The service as the database has it. */
const stored = async (id: string) =>
  (
    await fleet.database.sql(
      `SELECT spec->>'scheduler' AS scheduler, "deletedAt" IS NULL AS live, revision FROM "virtualService" WHERE id = $1`,
      [id],
    )
  )[0];

test("an edit, a deletion and a creation are taken back, each by a change of its own", async () => {
  const { id, revision } = await fleet.caller.virtualService.create({ spec: spec() });
  const creation = await newest("web");
  await fleet.caller.virtualService.patch({ id, revision, spec: { scheduler: "rr", realServers: [] } });
  const edit = await newest("web");
  expect(edit).toMatchObject({ action: "updated", undoOf: null, undoneBy: null, canUndo: true });

  const undone = await fleet.caller.change.undo({ id: edit.id });
  expect(undone).toMatchObject({ action: "updated", undoOf: edit.id, canUndo: true, author: "ada" });
  expect(await stored(id)).toEqual({ scheduler: "wlc", live: true, revision: 3 });
  expect((await fleet.caller.virtualService.get({ id })).realServers).toMatchObject([{ rip: "192.0.2.11" }]);
  expect(await fleet.caller.change.get({ id: edit.id })).toMatchObject({ undoneBy: undone.id, canUndo: false });
  expect(await fleet.database.sql(`SELECT detail->>'change' AS change FROM "auditEvent" WHERE event = 'change.undone'`)).toEqual([
    { change: edit.id },
  ]);

  await fleet.caller.virtualService.delete({ id, revision: 3 });
  const deletion = await newest("web");
  await fleet.caller.change.undo({ id: deletion.id });
  expect(await stored(id)).toEqual({ scheduler: "wlc", live: true, revision: 5 });
  expect((await fleet.caller.virtualService.get({ id })).realServers).toMatchObject([{ rip: "192.0.2.11" }]);

  // What it was made as is what it is again, so that even its creation can be taken back.
  await fleet.caller.change.undo({ id: creation.id });
  expect(await stored(id)).toMatchObject({ live: false });
});

test("what was changed since is not taken back, and nothing is taken back twice", async () => {
  const { id, revision } = await fleet.caller.virtualService.create({ spec: spec({ name: "shop", port: 81 }) });
  const creation = await newest("shop");
  await fleet.caller.virtualService.patch({ id, revision, spec: { scheduler: "rr" } });
  const edit = await newest("shop");
  await expect(fleet.caller.change.undo({ id: creation.id })).rejects.toMatchObject({
    cause: { code: "revision.stale", message: expect.stringContaining("revision 2") },
  });
  expect((await fleet.caller.change.get({ id: creation.id })).canUndo).toBe(false);
  const back = await fleet.caller.change.undo({ id: edit.id });
  await expect(fleet.caller.change.undo({ id: edit.id })).rejects.toMatchObject({ cause: { code: "revision.stale" } });
  await fleet.caller.change.undo({ id: back.id });
  expect(await stored(id)).toMatchObject({ scheduler: "rr" });
  await expect(fleet.caller.change.undo({ id: "chg_none" })).rejects.toMatchObject({ cause: { code: "resource.notFound" } });
});

test("groups and names too; a revoked certificate is no change to take back", async () => {
  const group = await fleet.caller.directorGroup.create({ spec: { name: "edge" } });
  const creation = await newest("edge");
  await fleet.caller.directorGroup.replace({ id: group.id, revision: 1, spec: { name: "rim" } });
  await fleet.caller.change.undo({ id: (await newest("rim")).id });
  expect((await fleet.caller.directorGroup.get({ id: group.id })).name).toBe("edge");
  await fleet.caller.change.undo({ id: creation.id });
  await expect(fleet.caller.directorGroup.get({ id: group.id })).rejects.toMatchObject({ cause: { code: "resource.notFound" } });

  const node = (await fleet.caller.node.list({})).data[0]!;
  await fleet.caller.node.rename({ id: node.id, revision: node.revision, spec: { name: "other" } });
  await fleet.caller.change.undo({ id: (await newest("other")).id });
  expect((await fleet.caller.node.get({ id: node.id })).name).toBe(node.name);
  await fleet.caller.node.revoke({ id: node.id, revision: "*" });
  const revocation = await newest(node.name);
  expect(revocation.canUndo).toBe(false);
  await expect(fleet.caller.change.undo({ id: revocation.id })).rejects.toMatchObject({ cause: { code: "change.irreversible" } });
});

test("REST: POST /changes/{id}/undo, for those who may write", async () => {
  const rest = createRest({ db: fleet.db, secretKey });
  const { id } = await fleet.caller.virtualService.create({ spec: spec({ name: "api", port: 82 }) });
  const change = await newest("api");
  const ask = (scopes: ("read" | "virtual-service:write")[]) =>
    rest(new Request(`https://lb.example/api/v1/changes/${change.id}/undo`, { method: "POST" }), {
      services: fleet.api.services,
      actor: { kind: "token", name: "ci", scopes },
      requestId: "req_1",
    });
  expect((await ask(["read"])).status).toBe(403);
  const answer = await ask(["virtual-service:write"]);
  expect([answer.status, await answer.json()]).toMatchObject([200, { undoOf: change.id, action: "deleted", author: "ci" }]);
  expect(await stored(id)).toMatchObject({ live: false });
  expect((await ask(["virtual-service:write"])).status).toBe(412);
});
