import { attr, attributes, type Codec, CodecError, cstring, inet, u8, u32 } from "../codec.ts";
import { type Family, familyNumber } from "../inet.ts";
import type { Message } from "../message.ts";
import { encodeRoute, familyOrAll, knownFamily, needBytes, parsePrefix, prefixText, rtm } from "./header.ts";

/** FR_ACT_* of <linux/fib_rules.h>, in the order of their numbers. */
const actions = ["unspec", "table", "goto", "nop", "res3", "res4", "blackhole", "unreachable", "prohibit"] as const;
export type RuleAction = (typeof actions)[number];

/** FIB_RULE_INVERT. */
const INVERT = 0x2;

export type PortRange = readonly [first: number, last: number];

export interface Rule {
  family: Family;
  /** Lower is asked first. */
  priority: number;
  action: RuleAction;
  /** The table to look in, when the action is `table`. */
  table: number;
  /** Prefixes; absent: any. */
  from?: string;
  to?: string;
  /** True when it applies to what does not match. */
  invert?: boolean;
  inputInterface?: string;
  outputInterface?: string;
  fwmark?: number;
  fwmask?: number;
  /** IPPROTO_*. */
  ipProtocol?: number;
  sourcePorts?: PortRange;
  destinationPorts?: PortRange;
  /** RTPROT_*: who made the rule. */
  protocol?: number;
}

/** A rule to add or to delete. The kernel picks a priority when a new one has none; to delete, what is absent matches anything. */
export type NewRule = Omit<Rule, "priority" | "action" | "table"> & Partial<Pick<Rule, "priority" | "action" | "table">>;

/** struct fib_rule_port_range: two u16 in host order. */
const portRange: Codec<PortRange> = {
  write(writer, [first, last]) {
    writer.u16(first);
    writer.u16(last);
  },
  read(buffer, start, end) {
    if (end - start < 4) throw new CodecError(`a port range has 4 bytes, not ${end - start}`);
    return [buffer.readUInt16LE(start), buffer.readUInt16LE(start + 2)];
  },
};

/** FRA_* of <linux/fib_rules.h>. */
export const ruleAttributes = attributes({
  to: attr(1, inet),
  from: attr(2, inet),
  inputInterface: attr(3, cstring(16)),
  priority: attr(6, u32),
  fwmark: attr(10, u32),
  table: attr(15, u32),
  fwmask: attr(16, u32),
  outputInterface: attr(17, cstring(16)),
  protocol: attr(21, u8),
  ipProtocol: attr(22, u8),
  sourcePorts: attr(23, portRange),
  destinationPorts: attr(24, portRange),
});

/** struct fib_rule_hdr: family, destination length, source length, tos, table, two reserved, action (u8 each), flags u32. */
const RULE_HEADER = 12;

export const encodeListRules = (family?: Family): Buffer => {
  const struct = Buffer.alloc(RULE_HEADER);
  struct[0] = familyOrAll(family);
  return encodeRoute(rtm.getRule, 0, struct);
};

export const encodeNewRule = (rule: NewRule, flags: number): Buffer =>
  encodeOne(rtm.newRule, flags, rule, rule.action ?? "table");

export const encodeDeleteRule = (rule: NewRule): Buffer => encodeOne(rtm.delRule, 0, rule, rule.action ?? "unspec");

/** Undefined for families other than IPv4 and IPv6. */
export function decodeRule({ payload }: Message): Rule | undefined {
  needBytes(payload, RULE_HEADER, "a rule");
  const family = knownFamily(payload[0]!);
  if (!family) return undefined;
  const { from, to, table, ...rest } = ruleAttributes.read(payload, RULE_HEADER, payload.length);
  return {
    family,
    action: actions[payload[7]!] ?? "unspec",
    table: table ?? payload[4]!,
    priority: 0, // the kernel names no priority when it is 0
    ...rest,
    ...(from !== undefined && { from: prefixText(family, from, payload[2]!) }),
    ...(to !== undefined && { to: prefixText(family, to, payload[1]!) }),
    ...((payload.readUInt32LE(8) & INVERT) !== 0 && { invert: true }),
  };
}

function encodeOne(message: number, flags: number, rule: NewRule, action: RuleAction): Buffer {
  const { family, from, to, invert, table, action: _, ...rest } = rule;
  const source = from === undefined ? undefined : parsePrefix(from);
  const destination = to === undefined ? undefined : parsePrefix(to);
  for (const prefix of [source, destination])
    if (prefix && prefix.family !== family) throw new CodecError(`${prefix.address} is no ${family} address`);
  const struct = Buffer.alloc(RULE_HEADER);
  struct[0] = familyNumber(family);
  struct[1] = destination?.length ?? 0;
  struct[2] = source?.length ?? 0;
  struct[4] = table === undefined || table > 255 ? 0 : table;
  struct[7] = actions.indexOf(action);
  struct.writeUInt32LE(invert ? INVERT : 0, 8);
  return encodeRoute(message, flags, struct, (writer) =>
    ruleAttributes.write(writer, { ...rest, from: source?.address, to: destination?.address, table }),
  );
}
