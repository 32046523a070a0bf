"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { DirectorGroupSpec, type DirectorGroupView, Name } from "@trigon/model";
import { Button, Card, CardHeader, Dialog, Field, Input, Switch, toast } from "@trigon/ui";
import { Plus } from "lucide-react";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { z } from "zod";
import { May, useMay } from "../../components/may.tsx";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { placeErrors, useFieldSentence, useSchemaResolver } from "../../lib/form.ts";
import { problemOf } from "../../lib/problem.ts";
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
  const [isAdding, setAdding] = useState(false);
  return (
    <Card>
      <CardHeader
        title={t("groups.title")}
        hint={t("groups.hint")}
        actions={
          <May scope="node:write">
            <Button onClick={() => setAdding(true)}>
              <Plus aria-hidden /> {t("groups.add")}
            </Button>
          </May>
        }
      />
      {isAdding ? <AddDialog onClose={() => setAdding(false)} /> : null}
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

const NewGroup = z.strictObject({ name: Name });

/** A group has a name first; who is in it, and how they hold its VIPs, is said on its page. */
function AddDialog({ onClose }: { onClose: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const queryClient = useQueryClient();
  const sentence = useFieldSentence();
  const form = useForm({ defaultValues: { name: "" }, resolver: useSchemaResolver(NewGroup) });
  const create = useMutation(
    trpc.directorGroup.create.mutationOptions({
      onSuccess: ({ id }) => {
        void queryClient.invalidateQueries(trpc.directorGroup.pathFilter());
        router.push(`/groups/${id}`);
      },
      onError: (error) => placeErrors(form, problemOf(error).fields, sentence),
    }),
  );
  return (
    <Dialog open onOpenChange={(open) => (open ? undefined : onClose())} title={t("groups.add")} closeLabel={t("common.close")}>
      <form
        noValidate
        className="space-y-4"
        onSubmit={(event) =>
          void form.handleSubmit(({ name }) => create.mutate({ spec: DirectorGroupSpec.parse({ name }) }))(event)
        }
      >
        {create.error ? <ProblemCallout error={create.error} /> : null}
        <Field label={t("groups.name")} hint={t("groups.addHint")} error={form.formState.errors.name?.message}>
          <Input {...form.register("name")} autoComplete="off" />
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" variant="primary" loading={create.isPending}>
            {t("groups.add")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
