import { expect, test } from "vitest";
import { fit, isAsked, parseSearch } from "./search-query.ts";

test("an address is found in a question, in either language, with its port", () => {
  for (const text of ["10.0.0.21", "who uses 10.0.0.21?", "谁在用 10.0.0.21？", "谁在用10.0.0.21"]) {
    expect(parseSearch(text)).toEqual({
      words: [],
      network: { address: "10.0.0.21", prefix: 32, text: "10.0.0.21" },
      port: null,
    });
  }
  expect(parseSearch("10.0.0.21:80")).toMatchObject({ network: { text: "10.0.0.21" }, port: 80 });
  expect(parseSearch("[2001:DB8::1]:443")).toMatchObject({ network: { text: "2001:db8::1", prefix: 128 }, port: 443 });
  expect(parseSearch("2001:db8:0::1")).toMatchObject({ network: { text: "2001:db8::1" }, port: null });
});

test("a network holds its addresses and no others", () => {
  const query = parseSearch("10.0.1.7/24");
  expect(query.network?.text).toBe("10.0.1.0/24");
  expect(["10.0.1.255", "10.0.2.1", "2001:db8::1"].map((address) => isAsked(query, address))).toEqual([true, false, false]);
});

test("what is no address is words, also a part of an address", () => {
  expect(parseSearch("Web  Shop")).toEqual({ words: ["web", "shop"], network: null, port: null });
  expect(parseSearch("10.0.0.")).toMatchObject({ words: ["10.0.0."], network: null });
  expect(parseSearch("10.0.0.1/99")).toMatchObject({ words: ["10.0.0.1/99"], network: null });
  expect(parseSearch("   ")).toEqual({ words: [], network: null, port: null });
});

test("the name itself fits better than its beginning, and that better than a part", () => {
  expect(["web", "web-2", "my web", "mail"].map((name) => fit(["web"], name))).toEqual([0, 1, 2, undefined]);
  expect(fit(["shop", "10.0"], "web shop", "10.0.0.9")).toBe(2);
});
