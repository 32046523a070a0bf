import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { toolsFolder } from "./paths.ts";

const name = z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, "a lab host's name is lower-case letters, digits and dashes");

const cidr = z.string().refine((text) => {
  const [address = "", length = ""] = text.split("/");
  const family = isIP(address);
  return family !== 0 && /^\d+$/.test(length) && Number(length) <= (family === 4 ? 32 : 128);
}, "an address with its prefix length, such as 10.1.0.10/24");

const Link = z.strictObject({
  /** At most 15 bytes (IFNAMSIZ). `mgmt0` is the lab's own. */
  ifname: z
    .string()
    .regex(/^[a-z][a-z0-9._-]{0,14}$/)
    .refine((text) => text !== "mgmt0", "mgmt0 belongs to the lab"),
  /** Links of the same segment share one Ethernet. The bridge `br-<segment>` must fit in 15 bytes. */
  segment: z
    .string()
    .regex(/^[a-z][a-z0-9]{0,11}$/)
    .refine((text) => text !== "mgmt", "mgmt belongs to the lab"),
  addresses: z.array(cidr).default([]),
  mtu: z.int().min(576).max(9000).optional(),
});

const Service = z.union([
  /** The lab's own web server on these address:port pairs. */
  z.strictObject({ httpd: z.array(z.string().regex(/^[\d.]+:\d+$/)).min(1) }),
  z.strictObject({
    name: z.string().regex(/^[a-z0-9-]+$/),
    command: z.array(z.string()).min(1),
    /** What it writes once it is ready: the host counts as booted when it did. */
    says: z.string().min(1).optional(),
  }),
]);

const LabHost = z.strictObject({
  name,
  links: z.array(Link).default([]),
  /** What follows `ip route add`. */
  routes: z.array(z.string()).default([]),
  sysctls: z.record(z.string().regex(/^[a-z][\w./-]+$/), z.union([z.string(), z.number()])).default({}),
  /** Started at every boot of the host; output in /run/<name>.log. */
  services: z.array(Service).default([]),
  /** Files and folders of the machine that this host must not see, as if never installed. */
  mask: z.array(z.string().startsWith("/")).default([]),
});

/** A lab's hosts and wires, as written in a topology file. */
export const Topology = z.strictObject({ hosts: z.array(LabHost).min(1).max(120) }).check(({ value, issues }) => {
  const report = (path: (string | number)[], message: string) => issues.push({ code: "custom", input: value, path, message });
  const hosts = new Set<string>();
  const addresses = new Map<string, string>();
  value.hosts.forEach((host, index) => {
    if (hosts.has(host.name)) report(["hosts", index, "name"], `two hosts are called ${host.name}`);
    hosts.add(host.name);
    const ifnames = host.links.map(({ ifname }) => ifname);
    if (new Set(ifnames).size < ifnames.length) report(["hosts", index, "links"], `${host.name} has two links of one name`);
    host.links.forEach((link, number) => {
      for (const address of link.addresses) {
        const place = `${link.segment} ${address.split("/")[0]}`;
        const other = addresses.get(place);
        if (other) report(["hosts", index, "links", number, "addresses"], `${address} is also on ${other}`);
        addresses.set(place, host.name);
      }
    });
  });
});
export type TopologyInput = z.input<typeof Topology>;
export type Topology = z.output<typeof Topology>;

/** Reads and checks a topology file; throws an Error that names the file and every wrong field. */
export function readTopology(file: string): Topology {
  const result = Topology.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!result.success) throw new Error(`${file}: ${z.prettifyError(result.error)}`);
  return result.data;
}

/** A link as labd lays it, with its fixed MAC address. */
export interface LaidLink {
  ifname: string;
  segment: string;
  mac: string;
  addresses: string[];
  mtu?: number;
}

/** A host as labd builds it. */
export interface LaidHost {
  name: string;
  /** Its address on the management segment, where exec, publish and the controller are reached. */
  management: string;
  links: LaidLink[];
  routes: string[];
  sysctls: Record<string, string | number>;
  services: { name: string; command: string[]; says?: string | undefined }[];
  mask: string[];
}

/** The lab's own segment: 10.255.0.0/24. */
export const management = {
  segment: "mgmt",
  gateway: "10.255.0.1",
  guest: "10.255.0.2",
  prefix: 24,
  firstHost: 101,
  execPort: 7000,
} as const;

const hex = (number: number) => number.toString(16).padStart(2, "0");

/** Lays a topology out: management link first, MAC addresses fixed by position (02:54:52:00:host:link), services as commands. */
export function layOut(topology: Topology): LaidHost[] {
  return topology.hosts.map((host, index) => {
    const own = `10.255.0.${management.firstHost + index}`;
    const links = [{ ifname: "mgmt0", segment: management.segment, addresses: [`${own}/${management.prefix}`] }, ...host.links];
    return {
      name: host.name,
      management: own,
      links: links.map((link, number) => ({ ...link, mac: `02:54:52:00:${hex(index + 1)}:${hex(number)}` })),
      routes: host.routes,
      sysctls: host.sysctls,
      mask: host.mask,
      services: host.services.map((service) =>
        "httpd" in service
          ? { name: "httpd", command: [join(toolsFolder, "httpd.py"), host.name, ...service.httpd], says: "listening" }
          : service,
      ),
    };
  });
}
