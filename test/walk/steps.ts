import type { Random } from "./random.ts";
import {
  candidates,
  destinationOf,
  foreignLine,
  isLive,
  places,
  schedulers,
  type WalkRealServer,
  type WalkService,
} from "./spec.ts";
import type { WalkWorld } from "./world.ts";

/** One step that can be taken now: in words, and what does it. */
export interface Step {
  text: string;
  /** Takes the step; answers how to see, by a tool that is not ours, that what was changed by hand is as it was. */
  take(): Promise<(() => Promise<boolean>) | undefined>;
  deadlineMs: number;
}

const change = (text: string, take: () => Promise<void>): Step => ({
  text,
  take: async () => {
    await take();
    return undefined;
  },
  deadlineMs: 60_000,
});

const weighed = (random: Random, servers: readonly Omit<WalkRealServer, "weight">[]): WalkRealServer[] =>
  servers.map((one, at) => ({ ...one, weight: at === 0 ? 1 : random.below(4) }));

const named = ({ vip, port }: WalkService) => `${vip}:${port}`;

let made = 0;

/** A change of the fleet, through the API; undefined when the dice fell on one that cannot be made now. */
export function fleetChange(random: Random, world: WalkWorld): Step | undefined {
  const { services } = world;
  const free = places.filter((place) => !services.some(({ vip, port }) => vip === place.vip && port === place.port));
  const kind = random.pick([
    "create",
    "create",
    "remove",
    "grow",
    "grow",
    "shrink",
    "shrink",
    "weigh",
    "weigh",
    "weigh",
    "schedule",
    "toggle",
  ]);
  if (kind === "create") {
    if (free.length === 0 || (services.length > 3 && random.next() < 0.7)) return undefined;
    const { vip, port, forwarding: kinds } = random.pick(free);
    const forwarding = random.pick(kinds);
    const realServers = weighed(random, random.some(candidates[forwarding]));
    const service = {
      name: `walk-${++made}`,
      vip,
      port,
      forwarding,
      scheduler: random.pick(schedulers),
      enabled: true,
      realServers,
    };
    return change(`create ${named(service)} (${forwarding}) of ${realServers.map(({ host }) => host)}`, () =>
      world.create(service),
    );
  }
  if (services.length === 0) return undefined;
  const service = random.pick(services);
  const isLast = services.filter(isLive).length < 2 && isLive(service) && random.next() < 0.9;
  const { realServers } = service;
  switch (kind) {
    case "remove":
      return isLast ? undefined : change(`remove ${named(service)}`, () => world.remove(service));
    case "grow": {
      const others = candidates[service.forwarding].filter((one) => !realServers.some(({ rip }) => rip === one.rip));
      if (others.length === 0) return undefined;
      const added = { ...random.pick(others), weight: 1 + random.below(4) };
      return change(`add ${added.host} to ${named(service)}`, () =>
        world.change(service, { realServers: [...realServers, added] }),
      );
    }
    case "shrink": {
      const gone = random.pick(realServers);
      const left = realServers.filter((one) => one !== gone);
      if (!left.some(({ weight }) => weight > 0)) return undefined;
      return change(`take ${gone.host} out of ${named(service)}`, () => world.change(service, { realServers: left }));
    }
    case "weigh": {
      const one = random.pick(realServers);
      const weight = random.below(5);
      const next = realServers.map((other) => (other === one ? { ...one, weight } : other));
      if (!next.some((other) => other.weight > 0)) return undefined;
      return change(`weight ${weight} for ${one.host} in ${named(service)}`, () => world.change(service, { realServers: next }));
    }
    case "schedule": {
      const scheduler = random.pick(schedulers);
      return change(`scheduler ${scheduler} for ${named(service)}`, () => world.change(service, { scheduler }));
    }
    default: {
      if (isLast) return undefined;
      const enabled = !service.enabled;
      return change(`${enabled ? "enable" : "disable"} ${named(service)}`, () => world.change(service, { enabled }));
    }
  }
}

/** Something done by hand, behind Trigon's back; undefined when the dice fell on one that cannot be done now. */
export function drift(random: Random, world: WalkWorld): Step | undefined {
  const enabled = world.services.filter((one) => one.enabled);
  const service = enabled.length > 0 ? random.pick(enabled) : undefined;
  const server = service && random.pick(service.realServers);
  const byHand = (host: string, script: string, look?: string, deadlineMs = 60_000): Step => ({
    text: `on ${host}: ${script}`,
    take: async () => {
      await world.host(host).sh(script);
      return look === undefined ? undefined : async () => (await world.host(host).sh(look, { allowFailure: true })) === "right";
    },
    deadlineMs,
  });
  const dice = random.next();
  if (dice < 0.06) {
    const { isForeignThere } = world;
    const script = `ipvsadm ${isForeignThere ? foreignLine.replace("-A", "-D").replace(/ -s .*/, "") : foreignLine}`;
    const step = byHand("dir1", script);
    return {
      ...step,
      take: async () => {
        world.isForeignThere = !isForeignThere;
        return step.take();
      },
    };
  }
  if (!service || !server) return undefined;
  if (dice < 0.1) {
    const step = byHand("dir1", "ipvsadm -C");
    return {
      ...step,
      take: async () => {
        world.isForeignThere = false;
        return step.take();
      },
    };
  }
  const destination = destinationOf(service, server);
  const place = named(service);
  if (dice < 0.25) return byHand("dir1", `ipvsadm -e ${destination} -w ${server.weight + 1 + random.below(9)}`);
  if (dice < 0.35) return byHand("dir1", `ipvsadm -d ${destination.replace(/ -[gim]$/, "")}`);
  if (dice < 0.45) return byHand("dir1", `ipvsadm -D -t ${place}`);
  if (dice < 0.55) return byHand("dir1", `ipvsadm -E -t ${place} -s ${service.scheduler === "rr" ? "wlc" : "rr"} -p 60`);
  if (dice < 0.65)
    return byHand("dir1", `ip addr del ${service.vip}/32 dev $(ip -o addr show to ${service.vip} | awk '{print $2; exit}')`);
  if (dice < 0.68) return byHand("dir1", "kill -9 $(cat /run/units/trigon-agent.service.pid)");
  if (service.forwarding !== "dr" && service.forwarding !== "tun") return undefined;
  const { host } = server;
  if (dice < 0.78) return byHand(host, `ip addr del ${service.vip}/32 dev lo`);
  if (dice < 0.83)
    return byHand(
      host,
      "sysctl -qw net.ipv4.conf.all.arp_ignore=0",
      "[ $(cat /proc/sys/net/ipv4/conf/all/arp_ignore) -ge 1 ] && echo right",
    );
  if (dice < 0.88)
    return byHand(
      host,
      "sysctl -qw net.ipv4.conf.all.arp_announce=0",
      "[ $(cat /proc/sys/net/ipv4/conf/all/arp_announce) = 2 ] && echo right",
    );
  if (dice > 0.99) {
    // Rules in legacy tables are read once in a while only.
    const rules = "iptables-legacy -t mangle -S OUTPUT | grep -v '^-P' | sort | md5sum";
    return byHand(
      host,
      `${rules} > /run/walk-rules; iptables-legacy -t mangle -F OUTPUT`,
      `[ "$(${rules})" = "$(cat /run/walk-rules)" ] && echo right`,
      400_000,
    );
  }
  if (service.forwarding !== "tun") return undefined;
  const device = "$(ip -o link | grep -o 'trg-[0-9]*' | head -1)";
  if (dice < 0.93) return byHand(host, `ip link set ${device} down`);
  const setting = `/proc/sys/net/ipv4/conf/${device}/rp_filter`;
  return byHand(host, `echo 1 > ${setting}`, `[ $(cat ${setting}) = 2 ] && echo right`);
}
