import { endpoint, type IpvsDestinationResource, type Resource, serviceKeyOf, unreachable } from "@trigon/model";
import { type Explained, textOf } from "./explain.ts";

/** A step in plain words: a code for the reader's own language, the values that fill it, and the English sentence. */
export interface StepSentence {
  code: `${Explained["op"]}.${Resource["kind"]}`;
  values: Record<string, string | number>;
  sentence: string;
}

/** What a step does, for people. */
export function sentenceOf(step: Explained): StepSentence {
  const resource = "to" in step ? step.to : step.from;
  const values = valuesOf(resource, "from" in step && "to" in step ? step.from : undefined);
  return { code: `${step.op}.${resource.kind}`, values, sentence: `${english(step, resource, values)}.` };
}

function valuesOf(resource: Resource, from: Resource | undefined): StepSentence["values"] {
  switch (resource.kind) {
    case "module":
      return { name: resource.name };
    case "link":
      return { name: resource.name, local: resource.local, remote: resource.remote };
    case "linkState":
      return { name: resource.name, state: resource.up ? "up" : "down" };
    case "fouPort":
      return { port: resource.port };
    case "sysctl":
      return { name: resource.path.replaceAll("/", "."), value: resource.value ?? `${resource.atLeast}` };
    case "filterRule":
      return { rule: textOf(resource) };
    case "ipvsService": {
      const { address, port, protocol } = resource;
      const now = textOf(resource).slice("-A ".length);
      const service = protocol === "fwmark" ? `mark ${port}` : `${endpoint(address, port)}/${protocol}`;
      return { service, now, was: from ? textOf(from).slice("-A ".length) : now };
    }
    case "ipvsDestination": {
      const now = optionsOf(resource);
      const was = from?.kind === "ipvsDestination" ? optionsOf(from) : now;
      return { service: serviceOf(resource), server: endpoint(resource.address, resource.port), now, was };
    }
    case "syncDaemon":
      return { state: resource.state, name: resource.interface, syncId: resource.syncId };
    case "vrrp":
      return { virtualRouterId: resource.virtualRouterId, vips: resource.vips.map(({ address }) => address).join(" ") };
    case "address":
      return { address: `${resource.address}/${resource.prefix}`, name: resource.interface };
    default:
      return unreachable(resource);
  }
}

function serviceOf({ key }: IpvsDestinationResource): string {
  const [, protocol = "", address = "", port = "0"] = serviceKeyOf(key).split(" ");
  return `${endpoint(address, Number(port))}/${protocol}`;
}

/** `-g -w 1`: what `ipvsadm` would be told after naming the real server. */
function optionsOf(destination: IpvsDestinationResource): string {
  const text = textOf(destination);
  const named = ` -r ${endpoint(destination.address, destination.port)} `;
  return text.slice(text.indexOf(named) + named.length);
}

function english({ op }: Explained, resource: Resource, values: StepSentence["values"]): string {
  if (op === "restore") return `Put ${values.name} back to the value that was found`;
  switch (resource.kind) {
    case "module":
      return `Load the kernel module ${values.name}, unless it is there`;
    case "link":
      return op === "delete"
        ? `Remove the tunnel device ${values.name}`
        : `Make the tunnel device ${values.name} from ${values.local} to ${values.remote}`;
    case "linkState":
      return `Switch ${values.name} ${values.state}`;
    case "fouPort":
      return op === "delete"
        ? `Stop unwrapping UDP port ${values.port} (GUE)`
        : `Unwrap what comes to UDP port ${values.port} (GUE)`;
    case "sysctl":
      return `Set ${values.name} to ${values.value}, unless it is so`;
    case "filterRule":
      return op === "delete" ? `Remove the rule ${values.rule}` : `Add the rule ${values.rule}`;
    case "ipvsService":
      if (op === "delete") return `Remove the virtual service ${values.service} with all its real servers`;
      return op === "create"
        ? `Make the virtual service ${values.service} (${values.now})`
        : `Change the virtual service ${values.service} from ${values.was} to ${values.now}`;
    case "ipvsDestination":
      if (op === "delete") return `Take ${values.server} out of ${values.service}`;
      return op === "create"
        ? `Put ${values.server} into ${values.service} (${values.now})`
        : `Change ${values.server} in ${values.service} from ${values.was} to ${values.now}`;
    case "syncDaemon":
      return op === "delete"
        ? `Stop the kernel's sync of connections (${values.state})`
        : `Have the kernel carry connections to and from the peers on ${values.name} (${values.state}, sync id ${values.syncId})`;
    case "vrrp":
      return op === "delete"
        ? `Take part in VRRP ${values.virtualRouterId} no more`
        : `Take part in VRRP ${values.virtualRouterId}: whoever is master holds ${values.vips}`;
    case "address":
      if (op === "delete") return `Take ${values.address} off ${values.name}`;
      return resource.purpose === "vipOnDirector"
        ? `Bind ${values.address} to ${values.name} after a probe that nobody else holds it, and announce it`
        : `Bind ${values.address} to ${values.name}`;
    default:
      return unreachable(resource);
  }
}
