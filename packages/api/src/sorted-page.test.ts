import { expect, test } from "vitest";
import { sortedPage } from "./sorted-page.ts";

const rows = ["d", "b", "a", "c"].map((name) => ({ id: `id-${name}`, name }));
const page = (cursor?: string, from = rows) =>
  sortedPage(
    from,
    { limit: 2, cursor },
    ({ name }) => name,
    ({ name }) => name,
  );

test("pages follow each other in order, without gap or twin", () => {
  const first = page();
  const second = page(first.nextCursor!);
  expect([first.data, second.data, second.nextCursor]).toEqual([["a", "b"], ["c", "d"], null]);
});

test("a cursor outlives the row it was made of", () => {
  const { nextCursor } = page();
  expect(
    page(
      nextCursor!,
      rows.filter(({ name }) => name !== "b"),
    ).data,
  ).toEqual(["c", "d"]);
});

test("a cursor that no list answered with is refused by its field", () => {
  expect(() => page("!!")).toThrow(expect.objectContaining({ code: "input.invalid" }));
});
