"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { DirectorGroupSpec, type DirectorGroupView } from "@trigon/model";
import { Button, Callout, Card, CardHeader, ConfirmDialog, Field, Input, Select, Switch, toast } from "@trigon/ui";
import { useState } from "react";
import { Controller, useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { May } from "../../components/may.tsx";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { placeErrors, useFieldSentence, useSchemaResolver } from "../../lib/form.ts";
import { problemOf } from "../../lib/problem.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { PreviewButton } from "../services/preview.tsx";
import { type GroupValues, toSpec, valuesOf } from "./group-spec.ts";

const modes = ["single", "vrrp"] as const;
const peerKinds = ["unicast", "multicast"] as const;

/** How a group holds its VIPs. A change of the mode is asked about once more. */
export function GroupForm({ group }: { group: DirectorGroupView }) {
  const t = useTranslations("group");
  const common = useTranslations("common");
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const sentence = useFieldSentence();
  const [asking, setAsking] = useState<DirectorGroupSpec | null>(null);
  const form = useForm<GroupValues, unknown, DirectorGroupSpec>({
    defaultValues: valuesOf(group),
    resolver: useSchemaResolver<GroupValues, DirectorGroupSpec>(DirectorGroupSpec, (values) => {
      const { spec, toForm } = toSpec(group, values);
      return { values: spec as GroupValues, toForm };
    }),
  });
  const replace = useMutation(
    trpc.directorGroup.replace.mutationOptions({
      onSuccess: (written) => {
        toast.success(t("saved", { name: written.name }));
        form.reset(valuesOf(written));
        void queryClient.invalidateQueries(trpc.directorGroup.pathFilter());
      },
      onError: (error) => {
        const { toForm } = toSpec(group, form.getValues());
        const fields = problemOf(error).fields.map((field) => ({ ...field, pointer: toForm(field.pointer) }));
        placeErrors(form, fields, sentence);
      },
      onSettled: () => setAsking(null),
    }),
  );
  const nodes = useQuery(trpc.node.list.queryOptions({ limit: 1000 }));
  const memberIds = new Set(group.members.map(({ nodeId }) => nodeId));
  // Directors of other groups may be members of this one, too: each group then keeps its VIPs on another of them.
  const others = (nodes.data?.data ?? []).filter(
    ({ id, role, state }) => role === "director" && state === "active" && !memberIds.has(id),
  );
  const candidates = [...group.members, ...others.map(({ id, name }) => ({ nodeId: id, name }))];
  const preview = useMutation(trpc.directorGroup.preview.mutationOptions());
  const save = (spec: DirectorGroupSpec) => replace.mutate({ id: group.id, revision: group.revision, spec });
  const submit = form.handleSubmit((spec) => (spec.mode === group.mode ? save(spec) : setAsking(spec)));
  const values = form.watch();
  const errors = form.formState.errors;
  const isPair = values.mode === "vrrp";
  return (
    <Card>
      <CardHeader title={t("form.title")} hint={t("form.hint")} />
      <form noValidate className="space-y-4 p-4" onSubmit={(event) => void submit(event)}>
        {replace.error ? (
          <ProblemCallout
            error={replace.error}
            onReload={() => void queryClient.invalidateQueries(trpc.directorGroup.pathFilter())}
          />
        ) : null}
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label={t("form.mode")} hint={t(`form.modeHint.${values.mode}`)}>
            <Select {...form.register("mode")}>
              {modes.map((mode) => (
                <option key={mode} value={mode}>
                  {t(`mode.${mode}`)}
                </option>
              ))}
            </Select>
          </Field>
          {isPair ? null : (
            <Field label={t("form.holder")} error={errors.activeNodeId?.message} hint={t("form.holderHint")}>
              <Select {...form.register("activeNodeId")}>
                <option value="">{t("form.nobody")}</option>
                {group.members.map(({ nodeId, name }) => (
                  <option key={nodeId} value={nodeId}>
                    {name}
                  </option>
                ))}
              </Select>
            </Field>
          )}
        </div>
        <Field
          label={t("form.floating")}
          note={common("optional")}
          hint={t("form.floatingHint")}
          error={errors.floatingAddresses?.message}
        >
          <Input autoComplete="off" spellCheck={false} className="font-mono" {...form.register("floatingAddresses")} />
        </Field>
        {isPair ? (
          <>
            {candidates.length < 2 ? <Callout tone="warn">{t("form.alone")}</Callout> : null}
            <SwitchRow form={form} name="everyone" label={t("form.everyone")} hint={t("form.everyoneHint")} />
            {values.everyone ? null : (
              <fieldset className="grid gap-4 sm:grid-cols-2">
                <legend className="mb-2 text-soft text-xs">{t("form.prioritiesHint")}</legend>
                {candidates.map(({ nodeId, name }) => (
                  <Field key={nodeId} label={t("form.priorityOf", { name })} error={errors.priorities?.[nodeId]?.message}>
                    <Input inputMode="numeric" autoComplete="off" {...form.register(`priorities.${nodeId}`)} />
                  </Field>
                ))}
              </fieldset>
            )}
            <div className="grid gap-4 sm:grid-cols-2">
              <Field label={t("form.advert")} hint={t("form.advertHint")} error={errors.advertMs?.message}>
                <Input inputMode="numeric" autoComplete="off" {...form.register("advertMs")} />
              </Field>
              <Field label={t("form.peers")} hint={t("form.peersHint")}>
                <Select {...form.register("peers")}>
                  {peerKinds.map((kind) => (
                    <option key={kind} value={kind}>
                      {t(`form.peersKind.${kind}`)}
                    </option>
                  ))}
                </Select>
              </Field>
              <Field
                label={t("form.interface")}
                note={common("optional")}
                hint={t("form.interfaceHint")}
                error={errors.interface?.message}
              >
                <Input autoComplete="off" spellCheck={false} {...form.register("interface")} />
              </Field>
              <Field
                label={t("form.routerId")}
                note={common("optional")}
                hint={t("form.routerIdHint", { number: group.status.virtualRouterId ?? "–" })}
                error={errors.virtualRouterId?.message}
              >
                <Input inputMode="numeric" autoComplete="off" {...form.register("virtualRouterId")} />
              </Field>
            </div>
            <SwitchRow form={form} name="preempt" label={t("form.preempt")} hint={t("form.preemptHint")} />
          </>
        ) : null}
        <May scope="node:write">
          <div className="flex flex-wrap justify-end gap-2">
            <PreviewButton
              preview={preview}
              ask={(then) =>
                void form.handleSubmit((spec) => then({ action: "replace", id: group.id, revision: group.revision, spec }))()
              }
              applyLabel={t("form.save")}
              onApply={() => void submit()}
            />
            <Button type="submit" variant="primary" loading={replace.isPending}>
              {t("form.save")}
            </Button>
          </div>
        </May>
      </form>
      <ConfirmDialog
        open={asking !== null}
        onOpenChange={(open) => (open ? undefined : setAsking(null))}
        title={t(`form.toMode.${values.mode}`, { name: group.name })}
        consequence={<p>{t(`form.toModeConsequence.${values.mode}`)}</p>}
        confirmLabel={t("form.change")}
        cancelLabel={common("cancel")}
        loading={replace.isPending}
        onConfirm={() => asking && save(asking)}
      />
    </Card>
  );
}

function SwitchRow(props: {
  form: ReturnType<typeof useForm<GroupValues, unknown, DirectorGroupSpec>>;
  name: "everyone" | "preempt";
  label: string;
  hint: string;
}) {
  return (
    <div className="flex items-start gap-3">
      <Controller
        control={props.form.control}
        name={props.name}
        render={({ field }) => <Switch aria-label={props.label} checked={field.value} onCheckedChange={field.onChange} />}
      />
      <div className="min-w-0">
        <p className="font-medium text-[0.8125rem] leading-6">{props.label}</p>
        <p className="text-soft text-xs">{props.hint}</p>
      </div>
    </div>
  );
}
