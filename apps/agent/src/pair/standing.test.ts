import { expect, test } from "vitest";
import { parseNotice, type Standing, trackValue } from "./standing.ts";

const fit: Standing = { role: "backup", isReady: true, isCutOff: false, preempt: false, isAsked: false };
/** The first of two members has 100, the second 98; VRRP gives the VIPs to the higher sum. */
const winner = (first: Partial<Standing>, second: Partial<Standing>) =>
  100 + trackValue({ ...fit, ...first }) > 98 + trackValue({ ...fit, ...second }) ? "first" : "second";
const master = { role: "master" } as const;

test("who holds the VIPs keeps them, unless the group preempts", () => {
  expect(winner({}, master)).toBe("second");
  expect(winner({ preempt: true }, { ...master, preempt: true })).toBe("first");
});

test("who is unfit or cut off loses them to a fit member, and to nobody else", () => {
  expect(winner({ ...master, isReady: false }, {})).toBe("second");
  expect(winner({ ...master, isCutOff: true }, {})).toBe("second");
  expect(winner({ ...master, isReady: false }, { isReady: false })).toBe("first");
  expect(winner({ ...master, isCutOff: true }, { isCutOff: true })).toBe("first");
  expect(winner({ ...master, isCutOff: true }, { isReady: false })).toBe("first");
});

test("who was asked for takes them, if it is fit", () => {
  expect(winner(master, { isAsked: true })).toBe("second");
  expect(winner(master, { isAsked: true, isReady: false })).toBe("first");
});

test("whatever their ranks, of which there are 16", () => {
  const ranks = Array.from({ length: 16 }, (_, rank) => 100 - 2 * rank);
  const sum = (own: number, standing: Partial<Standing>) => own + trackValue({ ...fit, ...standing });
  for (const mine of ranks)
    for (const theirs of ranks) {
      if (mine === theirs) continue;
      expect(sum(mine, master)).toBeGreaterThan(sum(theirs, {}));
      expect(sum(mine, { isAsked: true })).toBeGreaterThan(sum(theirs, master));
      expect(sum(mine, {})).toBeGreaterThan(sum(theirs, { ...master, isReady: false }));
      expect(sum(mine, {})).toBeGreaterThan(sum(theirs, { ...master, isCutOff: true }));
      expect(sum(mine, { ...master, isReady: false })).toBeGreaterThan(sum(theirs, { isReady: false }));
      expect(sum(mine, { ...master, isCutOff: true })).toBeGreaterThan(sum(theirs, { isCutOff: true }));
      expect(sum(mine, { ...master, isCutOff: true })).toBeGreaterThan(sum(theirs, { isReady: false }));
    }
});

test("notices of roles are read, others are not", () => {
  expect(parseNotice('INSTANCE "dg_1" MASTER 148')).toEqual({ groupId: "dg_1", role: "master" });
  expect(parseNotice('INSTANCE "dg_1" FAULT 0')).toEqual({ groupId: "dg_1", role: "fault" });
  expect(parseNotice('INSTANCE "dg_1" MASTER_RX_LOWER_PRI 148')).toBeUndefined();
  expect(parseNotice('GROUP "dg_1" MASTER 148')).toBeUndefined();
});
