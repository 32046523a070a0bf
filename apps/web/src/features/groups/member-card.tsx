import type { GroupMemberView } from "@trigon/model";
import { Card, Facts } from "@trigon/ui";
import { TriangleAlert } from "lucide-react";
import { useTranslations } from "use-intl";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { RoleChip } from "./role-chip.tsx";

/** One director of a group: what it is in it, since when, and what it carries to its peers. */
export function MemberCard({ member, isPair, vips }: { member: GroupMemberView; isPair: boolean; vips: readonly string[] }) {
  const t = useTranslations();
  const daemons = member.syncDaemons.map(
    (daemon) => `${t(`group.daemon.${daemon.state}`)} (${daemon.interface}, ${daemon.syncId})`,
  );
  const rows = [
    ...(isPair ? [{ name: t("group.priority"), value: member.priority ?? "–" }] : []),
    ...(isPair ? [{ name: t("group.since"), value: member.since ? <When at={member.since} /> : "–" }] : []),
    ...(isPair ? [{ name: t("group.ready"), value: <Readiness member={member} /> }] : []),
    ...(isPair ? [{ name: t("group.sync"), value: daemons.length > 0 ? daemons.join(", ") : t("group.noSync") }] : []),
    {
      name: "VIP",
      value: member.isActive && vips.length > 0 ? <span className="font-mono text-[0.8125rem]">{vips.join(", ")}</span> : "–",
    },
  ];
  return (
    <Card>
      <div className="flex flex-wrap items-center justify-between gap-2 border-b px-4 py-3">
        <TextLink href={`/nodes/${member.nodeId}`} className="min-w-0 break-words font-semibold text-[0.9375rem]">
          {member.name}
        </TextLink>
        <RoleChip member={member} isPair={isPair} />
      </div>
      <Facts className="p-4" rows={rows} />
      {member.findings.length > 0 ? (
        <ul className="space-y-1 border-t px-4 py-3">
          {member.findings.map((finding) => (
            <FindingLine key={finding.code + finding.message} finding={finding} />
          ))}
        </ul>
      ) : null}
    </Card>
  );
}

function Readiness({ member: { isReady, isJoined } }: { member: GroupMemberView }) {
  const t = useTranslations("group");
  if (!isJoined) return t("notJoined");
  if (isReady === null) return "–";
  return isReady ? t("isReady") : t("notReady");
}

/** One finding in the reader's language, where the console knows its code. */
export function FindingLine({ finding }: { finding: GroupMemberView["findings"][number] }) {
  const say = useSay();
  return (
    <li className="flex items-start gap-2 text-[0.8125rem]">
      <TriangleAlert aria-hidden className="mt-0.5 size-4 shrink-0 text-warn" />
      <span className="min-w-0 break-words">{say("groupFinding", finding.code, finding.message, finding.meta)}</span>
    </li>
  );
}
