import { unfitWeight } from "@trigon/kernel";
import type { GroupRole } from "@trigon/model";

/** What decides how much a member wants the VIPs now. */
export interface Standing {
  role: GroupRole;
  /** Its table is as planned. */
  isReady: boolean;
  /** No real server of the group's services answers here. */
  isCutOff: boolean;
  /** A member of a higher priority takes the VIPs back. */
  preempt: boolean;
  /** An operator asked for it, and that is not done, or so lately that the former holder may not know yet. */
  isAsked: boolean;
}

/** Holding the VIPs is worth more than any difference between members' own priorities, of which there are at most 30. */
const held = 50;
const asked = 100;
/** Enough for a holder of the first rank to lose the VIPs to one of the last that sees its real servers, not to one that is unfit or as cut off. */
const cutOff = -82;

/** What is added to a member's priority: VRRP then gives the VIPs to the highest of those that hear each other. */
export function trackValue({ role, isReady, isCutOff, preempt, isAsked }: Standing): number {
  const keeps = isAsked ? asked : role === "master" && !preempt ? held : 0;
  return keeps + (isReady ? 0 : unfitWeight) + (isCutOff ? cutOff : 0);
}

const roles: Readonly<Record<string, GroupRole>> = { MASTER: "master", BACKUP: "backup", FAULT: "fault", STOP: "unknown" };

/** A line of keepalived's notify FIFO, `INSTANCE "GROUP" MASTER 148`; undefined for one that tells no role. */
export function parseNotice(line: string): { groupId: string; role: GroupRole } | undefined {
  const [, groupId, word = ""] = /^INSTANCE "([^"]+)" (\w+)/.exec(line) ?? [];
  const role = roles[word];
  return groupId === undefined || role === undefined ? undefined : { groupId, role };
}
