"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { DirectorGroupSpec, type DirectorGroupView } from "@trigon/model";
import { Card, CardHeader, Switch, toast } from "@trigon/ui";
import { useTranslations } from "use-intl";
import { useMay } from "../../components/may.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { useTRPC } from "../../lib/trpc.ts";
import { PhaseChip } from "../groups/group-page.tsx";

const switches = ["ping", "manageFirewall"] as const;

/** What each director group does about its VIPs and the hosts' firewalls. */
export function DirectorGroups() {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const groups = useQuery(trpc.directorGroup.list.queryOptions({ limit: 100 }));
  const replace = useMutation(
    trpc.directorGroup.replace.mutationOptions({
      onSuccess: ({ name }) => void toast.success(t("groups.saved", { name })),
      onError: () => void toast.error(t("service.notSaved")),
      onSettled: () => void queryClient.invalidateQueries(trpc.directorGroup.pathFilter()),
    }),
  );
  const set = (
    { id, revision, members: _members, status: _status, ...spec }: DirectorGroupView,
    change: Partial<DirectorGroupSpec>,
  ) => replace.mutate({ id, revision, spec: DirectorGroupSpec.parse({ ...spec, ...change }) });
  const mayWrite = useMay("node:write");
  return (
    <Card>
      <CardHeader title={t("groups.title")} hint={t("groups.hint")} />
      <ul className="divide-y">
        {groups.data?.data.map((group) => (
          <li key={group.id} className="grid gap-3 p-4 sm:grid-cols-3">
            <div className="flex min-w-0 flex-wrap items-center gap-2 self-start">
              <TextLink href={`/groups/${group.id}`} className="min-w-0 break-words">
                {group.name}
              </TextLink>
              <PhaseChip phase={group.status.phase} />
            </div>
            {switches.map((name) => (
              <div key={name} className="flex items-start gap-3">
                <Switch
                  aria-label={`${group.name}: ${t(`groups.${name}`)}`}
                  checked={group[name]}
                  disabled={replace.isPending || !mayWrite}
                  onCheckedChange={(on) => set(group, { [name]: on })}
                />
                <div className="min-w-0">
                  <p className="font-medium text-[0.8125rem] leading-6">{t(`groups.${name}`)}</p>
                  <p className="text-soft text-xs">{t(`groups.${name}Hint`)}</p>
                </div>
              </div>
            ))}
          </li>
        ))}
      </ul>
    </Card>
  );
}
