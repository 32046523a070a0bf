import { expect, test } from "vitest";
import { make } from "../test/node.ts";
import { type JournalEntry, Ledger } from "./ledger.ts";

const silence = make.value("net/ipv4/conf/all/arp_ignore", "1");
const louder = make.value("net/ipv4/conf/all/arp_ignore", "2");
const service = make.service("192.0.2.10");
const claim = (resource: typeof service, found: string | null, bootId = "boot-1"): JournalEntry => ({
  op: "claim",
  bootId,
  key: resource.key,
  resource,
  found: found === null ? null : { value: found },
});

test("the value found first in a boot is the machine's own", () => {
  const ledger = new Ledger("boot-1", [claim(silence, "0"), claim(louder, "1")]);
  expect(ledger.get(silence.key)).toMatchObject({ resource: louder, previous: silence, found: { value: "0" } });
});

test("a claim released is forgotten", () => {
  const ledger = new Ledger("boot-1", [claim(service, null), { op: "release", bootId: "boot-1", key: service.key }]);
  expect(ledger.owns(service.key)).toBe(false);
});

test("after a reboot objects are still ours, settings are as the boot left them", () => {
  const ledger = new Ledger("boot-2", [claim(silence, "0"), claim(service, null)]);
  expect([...ledger.keys()]).toEqual([service.key]);
  expect(ledger.owns(service.key)).toBe(true);
});

test("a setting claimed again after a reboot has what was found then", () => {
  const ledger = new Ledger("boot-2", [claim(silence, "0"), claim(silence, "2", "boot-2")]);
  expect(ledger.get(silence.key)).toMatchObject({ previous: null, found: { value: "2" } });
});

test("the compacted journal means the same", () => {
  const ledger = new Ledger("boot-1", [claim(silence, "0"), claim(service, null), claim(louder, "1"), claim(service, null)]);
  const again = new Ledger("boot-1", ledger.entries());
  expect([...again.keys()]).toEqual([...ledger.keys()]);
  expect(again.get(silence.key)).toEqual(ledger.get(silence.key));
});
