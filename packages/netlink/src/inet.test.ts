import { isIP } from "node:net";
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatInet, netmaskPrefix, netmaskText, parseInet } from "./inet.ts";

test("what parses, and only that, is what Node calls an IP address", () => {
  const almost = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^[0-9a-f:.]{0,20}$/),
    fc.constantFrom("1.2.3", "01.2.3.4", ":::", "::1::", "1::2::3"),
  );
  fc.assert(
    fc.property(almost, (text) => {
      expect(parseInet(text)?.length ?? 0).toBe([0, 0, 0, 0, 4, 0, 16][isIP(text)] ?? 0);
    }),
  );
});

test("IPv6 text is the canonical text of RFC 5952", () => {
  const canonical = (text: string) => new URL(`http://[${text}]/`).hostname.slice(1, -1);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.array(fc.nat(7)), (bytes, zeros) => {
      for (const word of zeros) bytes.fill(0, word * 2, word * 2 + 2);
      const text = formatInet(bytes);
      expect(parseInet(text)).toEqual(bytes);
      if (!text.includes(".")) expect(text).toBe(canonical(text));
    }),
  );
});

test("RFC 5952's own examples", () => {
  const round = (text: string) => formatInet(parseInet(text)!);
  expect(round("2001:0DB8::0001")).toBe("2001:db8::1");
  expect(round("2001:db8:0:1:1:1:1:1")).toBe("2001:db8:0:1:1:1:1:1");
  expect(round("2001:db8:0:0:1:0:0:1")).toBe("2001:db8::1:0:0:1");
  expect(round("::ffff:192.0.2.1")).toBe("::ffff:192.0.2.1");
});

test("a netmask and its prefix length name each other", () => {
  expect([0, 1, 8, 20, 24, 31, 32].map((prefix) => netmaskText("inet", prefix))).toEqual([
    "0.0.0.0",
    "128.0.0.0",
    "255.0.0.0",
    "255.255.240.0",
    "255.255.255.0",
    "255.255.255.254",
    "255.255.255.255",
  ]);
  for (let prefix = 0; prefix <= 32; prefix++) expect(netmaskPrefix("inet", netmaskText("inet", prefix))).toBe(prefix);
  expect(netmaskPrefix("inet", "255.0.255.0")).toBeUndefined();
  expect(netmaskPrefix("inet6", netmaskText("inet6", 64))).toBe(64);
});
