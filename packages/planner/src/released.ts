import type { Resource } from "@trigon/model";

/**
 * Whether a resource of a service stays in the kernel when the service is let go of: what carries its packets does. What only Trigon has a use
 * for goes with it: rules of its own chains, and what paths are proved with.
 */
export function staysWhenReleased(resource: Resource): boolean {
  switch (resource.kind) {
    case "ipvsService":
      return resource.protocol !== "fwmark";
    case "ipvsDestination":
      return !resource.service.startsWith("ipvsService fwmark ");
    case "address":
    case "link":
    case "linkState":
    case "module":
      return true;
    case "sysctl":
      return !resource.path.endsWith("/accept_local");
    default:
      return false;
  }
}
