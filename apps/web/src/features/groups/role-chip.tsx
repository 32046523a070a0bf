import type { GroupMemberView } from "@trigon/model";
import { Chip, type Tone } from "@trigon/ui";
import { CircleDashed, CircleHelp, Crown, type LucideIcon, ShieldAlert, ShieldCheck, Unplug } from "lucide-react";
import { useTranslations } from "use-intl";

type Shown = NonNullable<GroupMemberView["role"]> | "holder" | "standby" | "away" | "outside";

const looks: Record<Shown, { tone: Tone; icon: LucideIcon }> = {
  master: { tone: "good", icon: Crown },
  backup: { tone: "busy", icon: ShieldCheck },
  fault: { tone: "bad", icon: ShieldAlert },
  unknown: { tone: "warn", icon: CircleHelp },
  holder: { tone: "good", icon: Crown },
  standby: { tone: "idle", icon: CircleDashed },
  away: { tone: "bad", icon: Unplug },
  outside: { tone: "idle", icon: CircleDashed },
};

/** What a director is in its group: by VRRP in its own words, else by what was named. */
export function RoleChip({ member, isPair }: { member: GroupMemberView; isPair: boolean }) {
  const t = useTranslations();
  const shown = shownRole(member, isPair);
  const { tone, icon } = looks[shown];
  return (
    <Chip tone={tone} icon={icon}>
      {t(`group.role.${shown}`)}
    </Chip>
  );
}

function shownRole({ role, isActive, isConnected, priority }: GroupMemberView, isPair: boolean): Shown {
  if (!isConnected) return "away";
  if (!isPair) return isActive ? "holder" : "standby";
  if (priority === null && role === null) return "outside";
  return role ?? "unknown";
}
