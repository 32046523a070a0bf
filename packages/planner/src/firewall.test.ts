import { expect, test } from "vitest";
import { type FilteredPacket, filterTable, verdictOf } from "./firewall.ts";

const table = (policy: string, ...rules: string[]) =>
  filterTable(
    [
      "*nat",
      ":INPUT DROP [0:0]",
      "COMMIT",
      "*filter",
      `:INPUT ${policy} [7:420]`,
      ":FORWARD ACCEPT [0:0]",
      ":mine - [0:0]",
      ...rules,
      "COMMIT",
    ].join("\n"),
  );
const web: FilteredPacket = { chain: "INPUT", protocol: 6, destination: "192.0.2.10", destinationPort: 80, in: "eth0" };
const ipip: FilteredPacket = { chain: "INPUT", protocol: 4, source: "192.0.2.2", destination: "192.0.2.21" };
const established = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";

test.each<[string, FilteredPacket, string, string[], boolean]>([
  ["nothing stands in the way", web, "ACCEPT", [], true],
  ["the policy drops what no rule took", web, "DROP", [established], false],
  ["a rule for the port", web, "DROP", ["[3:180] -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"], true],
  ["a rule for a range of ports", web, "DROP", ["-A INPUT -p tcp -m multiport --dports 22,79:81 -j ACCEPT"], true],
  ["a rule for another port", web, "DROP", ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"], false],
  ["only tcp/80 open, and a tunnel", ipip, "DROP", ["-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"], false],
  ["the tunnel's protocol by name", ipip, "ACCEPT", ["-A INPUT -p ipencap -j DROP"], false],
  ["the tunnel's protocol by number, from another source", ipip, "ACCEPT", ["-A INPUT -s 192.0.2.9/32 -p 4 -j DROP"], true],
  ["everything but one network", ipip, "ACCEPT", ["-A INPUT ! -s 192.0.2.0/24 -j DROP"], true],
  [
    "a chain of its own that rejects",
    web,
    "ACCEPT",
    ["-A INPUT -j mine", "-A mine -p tcp -j REJECT --reject-with tcp-reset"],
    false,
  ],
  [
    "a chain that returns",
    web,
    "DROP",
    ["-A INPUT -j mine", "-A INPUT -j ACCEPT", "-A mine -d 192.0.2.10/32 -j RETURN", "-A mine -j DROP"],
    true,
  ],
  ["new connections by state", web, "DROP", ["-A INPUT -p tcp -m state --state NEW -j ACCEPT"], true],
  ["a match that nobody here knows", web, "ACCEPT", ["-A INPUT -m set --match-set bad src -j DROP"], true],
  ["the loopback's own rule", web, "DROP", ["-A INPUT -i lo -j ACCEPT"], false],
  ["a comment with spaces", web, "DROP", ['-A INPUT -m comment --comment "let it in" -j ACCEPT'], true],
])("%s", (_name, packet, policy, rules, isAccepted) => {
  expect(verdictOf(table(policy, ...rules), packet).isAccepted).toBe(isAccepted);
});

test("the verdict names what decided", () => {
  expect(verdictOf(table("DROP"), web).by).toBe("-P INPUT DROP");
  expect(verdictOf(table("ACCEPT", "[1:60] -A INPUT -p ipencap -j DROP"), ipip).by).toBe("-A INPUT -p ipencap -j DROP");
});
