import type { Forwarding, TopologyLink, TopologyService, TopologyView } from "@trigon/model";
import { expect, test } from "vitest";
import { edgesAbout, graphOf, nodesMost, worst } from "./graph.ts";
import { crossings, layout } from "./layout.ts";

const quiet = { connectionsPerSecond: null, requestBytesPerSecond: null, replyBytesPerSecond: null };

/** Services with the RIPs behind them, at one director unless told otherwise. */
function fleet(
  ...services: { name: string; forwarding: Forwarding; rips: string[]; director?: string; state?: TopologyLink["state"] }[]
) {
  const directors = [...new Set(services.map(({ director = "lb" }) => director))];
  const view: TopologyView = { services: [], directors: [], links: [], total: services.length };
  for (const name of directors)
    view.directors.push({
      ...{ nodeId: name, name, directorGroupId: `dg_${name}`, groupName: name, isActive: true, isConnected: true },
      ...{ addresses: ["192.0.2.2"], sync: { state: "inSync", reason: "", message: "" } },
    });
  services.forEach(({ name, forwarding, rips, director = "lb", state = "serving" }, at) => {
    const service: TopologyService = {
      ...{ id: name, name, vip: `192.0.2.${100 + at}`, port: 80, protocol: "tcp", forwarding, enabled: true, ...quiet },
      ...{ directorGroupId: `dg_${director}`, directorNodeId: director, healthMode: null, active: 0 },
      sync: { state: "inSync", reason: "", message: "" },
    };
    view.services.push(service);
    for (const rip of rips)
      view.links.push({
        ...{ serviceId: name, realServerId: `${name}-${rip}`, rip, port: 80, nodeId: null, nodeName: null, forwarding },
        ...{ adminState: "active", weight: 1, active: 0, state, reason: null, message: null, ...quiet },
      });
  });
  return view;
}
const range = (count: number, at: (index: number) => string) => Array.from({ length: count }, (_, index) => at(index));
const picture = (view: TopologyView, width = 1200) => layout(graphOf(view), width);

test("columns stand from clients to real servers, and no box covers another or leaves the picture", () => {
  const view = fleet(
    { name: "a", forwarding: "dr", rips: ["10.0.0.1", "10.0.0.2"] },
    { name: "b", forwarding: "nat", rips: ["10.0.0.2", "10.0.0.3"] },
  );
  const drawn = picture(view);
  const boxes = [...drawn.boxes.values()];
  for (const [index, one] of boxes.entries()) {
    expect(one.x).toBeGreaterThanOrEqual(0);
    expect(one.x + one.w).toBeLessThan(drawn.width);
    expect(one.y + one.h).toBeLessThan(drawn.height);
    for (const other of boxes.slice(index + 1)) {
      const isApart =
        one.x + one.w <= other.x || other.x + other.w <= one.x || one.y + one.h <= other.y || other.y + other.h <= one.y;
      expect(isApart).toBe(true);
    }
  }
  const left = (key: string) => drawn.boxes.get(key)!.x;
  expect(left("client")).toBeLessThan(left("service:a"));
  expect(left("service:a")).toBeLessThan(left("director:lb"));
  expect(left("director:lb")).toBeLessThan(left("server:10.0.0.1"));
});

test("a DR and Tunnel reply passes the director by, one of NAT goes back through it", () => {
  const { edges } = graphOf(
    fleet({ name: "a", forwarding: "tun", rips: ["10.0.0.1"] }, { name: "b", forwarding: "fullnat", rips: ["10.0.0.2"] }),
  );
  const replies = edges.filter(({ kind }) => kind !== "request").map(({ from, to, kind }) => `${kind} ${from} ${to}`);
  expect(replies.sort()).toEqual([
    "direct server:10.0.0.1 client",
    "reply director:lb service:b",
    "reply server:10.0.0.2 director:lb",
    "reply service:b client",
  ]);
  expect(picture(fleet({ name: "b", forwarding: "nat", rips: ["10.0.0.2"] })).trunk).toBeNull();
});

test("edges do not cross where they need not", () => {
  // Named so that alphabetical order would cross.
  const view = fleet(
    { name: "a", forwarding: "dr", rips: ["10.0.0.9"], director: "lb-2" },
    { name: "b", forwarding: "dr", rips: ["10.0.0.1"], director: "lb-1" },
    { name: "c", forwarding: "nat", rips: ["10.0.0.8"], director: "lb-2" },
    { name: "d", forwarding: "tun", rips: ["10.0.0.2", "10.0.0.3"], director: "lb-1" },
  );
  expect(crossings(picture(view))).toBe(0);
});

test("an edge is the wider the more it carries", () => {
  const view = fleet({ name: "a", forwarding: "dr", rips: ["10.0.0.1", "10.0.0.2", "10.0.0.3"] });
  view.links.forEach((link, at) => {
    link.requestBytesPerSecond = at * 1_000;
  });
  const width = (rip: string) => picture(view).edges.find(({ kind, to }) => kind === "request" && to === `server:${rip}`)!.width;
  expect(width("10.0.0.1")).toBeLessThan(width("10.0.0.2"));
  expect(width("10.0.0.2")).toBeLessThan(width("10.0.0.3"));
});

test("200 real servers become their pools, each member's state kept, and one pool can be opened", () => {
  const view = fleet(
    ...range(8, String).map((name) => ({
      name,
      forwarding: "dr" as const,
      rips: range(25, (at) => `10.0.${name}.${at + 1}`),
    })),
  );
  view.links[3]!.state = "broken";
  const graph = graphOf(view);
  expect(graph.isCollapsed).toBe(true);
  expect(graph.nodes.length).toBeLessThan(nodesMost);
  const pool = graph.nodes.find(({ key }) => key === "pool:10.0.0.1")!;
  expect(pool).toMatchObject({ state: "partly", label: "0", note: "10.0.0.1 – 10.0.0.25" });
  expect(pool.members.filter(({ state }) => state === "broken").map(({ label }) => label)).toEqual(["10.0.0.4"]);
  expect(layout(graph, 1200).height).toBeLessThan(900);
  const opened = graphOf(view, new Set(["pool:10.0.0.1"]));
  expect(opened.nodes.filter(({ key }) => key.startsWith("server:"))).toHaveLength(25);
});

test("very many services and servers are still one screen, by VIP and by network", () => {
  const view = fleet(
    ...range(300, String).map((name) => ({
      name,
      forwarding: "dr" as const,
      rips: [`10.${Number(name) % 7}.${Number(name) % 50}.9`],
    })),
  );
  view.services.forEach((service, at) => {
    service.vip = `198.18.${at % 90}.1`;
  });
  const graph = graphOf(view);
  expect(graph.nodes.length).toBeLessThanOrEqual(90);
  const servers = graph.nodes.filter(({ layer }) => layer === "server");
  expect(servers.flatMap(({ members, key }) => (members.length > 0 ? members.map((one) => one.key) : [key]))).toHaveLength(300);
});

test("looking at a real server brings out its own way and no neighbour's", () => {
  const graph = graphOf(
    fleet({ name: "a", forwarding: "dr", rips: ["10.0.0.1", "10.0.0.2"] }, { name: "b", forwarding: "dr", rips: ["10.0.0.3"] }),
  );
  expect([...edgesAbout(graph, "server:10.0.0.1")].sort()).toEqual([
    "client>service:a>request>dr",
    "director:lb>server:10.0.0.1>request>dr",
    "server:10.0.0.1>client>direct>dr",
    "service:a>director:lb>request>dr",
  ]);
});

test("states add up: what works in part is neither fine nor lost", () => {
  expect(worst(["serving", "serving", "idle"])).toBe("serving");
  expect(worst(["serving", "broken"])).toBe("partly");
  expect(worst(["broken", "idle"])).toBe("broken");
  expect(worst(["unknown", "idle"])).toBe("unknown");
  expect(worst([])).toBe("idle");
});
