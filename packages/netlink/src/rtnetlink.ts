export { addressFlag, type InterfaceAddress, type NewAddress, scope } from "./rtnetlink/address.ts";
export { RouteClient } from "./rtnetlink/client.ts";
export {
  encapFlag,
  type Link,
  type LinkCounters,
  linkFlag,
  type NewLink,
  type OperState,
  type TunnelConfig,
  type TunnelKind,
  tunnelKinds,
} from "./rtnetlink/link.ts";
export { type MonitorTopic, type RouteChange, RouteMonitor } from "./rtnetlink/monitor.ts";
export type { Neighbour, NeighbourState } from "./rtnetlink/neighbour.ts";
export {
  type NewRoute,
  type NextHop,
  type Route,
  type RouteKey,
  type RouteQuery,
  type RouteType,
  routeProtocol,
  routeTable,
} from "./rtnetlink/route.ts";
export type { NewRule, PortRange, Rule, RuleAction } from "./rtnetlink/rule.ts";
