"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { EventTopic, type NotificationTargetPatch, NotificationTargetSpec, type NotificationTargetView } from "@trigon/model";
import {
  Button,
  Card,
  CardHeader,
  Chip,
  type Column,
  ConfirmDialog,
  DataTable,
  Dialog,
  EmptyState,
  Field,
  FieldMessage,
  Input,
  SkeletonRows,
  Switch,
  toast,
} from "@trigon/ui";
import { BellRing, CircleAlert, CircleCheck, CircleDashed, Plus } from "lucide-react";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { May, useMay } from "../../components/may.tsx";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { When } from "../../components/time.tsx";
import { useSchemaResolver } from "../../lib/form.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** Programs that are told of events: added, tried, mended. Administrators change them, others see how it goes. */
export function Notifications() {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const mayEdit = useMay("admin");
  const targets = useQuery({ ...trpc.notificationTarget.list.queryOptions(), refetchInterval: 10_000 });
  const [edited, setEdited] = useState<NotificationTargetView | "new" | null>(null);
  const [asked, setAsked] = useState<NotificationTargetView | null>(null);
  const refetch = () => void queryClient.invalidateQueries(trpc.notificationTarget.list.pathFilter());
  const patch = useMutation(trpc.notificationTarget.patch.mutationOptions({ onSettled: refetch }));
  const attempt = useMutation(
    trpc.notificationTarget.test.mutationOptions({
      onSuccess: ({ outcome }) => {
        if (outcome === "delivered") toast.success(t("notifications.testDelivered"));
        else toast.error(t("notifications.testFailed"));
      },
      onSettled: refetch,
    }),
  );
  const remove = useMutation(
    trpc.notificationTarget.remove.mutationOptions({
      onSuccess: () => {
        setAsked(null);
        refetch();
      },
    }),
  );
  const columns: Column<NotificationTargetView>[] = [
    {
      id: "name",
      header: t("notifications.name"),
      isRowHeader: true,
      cell: (target) => (
        <span>
          <span className="font-medium">{target.name}</span>
          <span className="block break-all font-mono text-soft text-xs">{target.url}</span>
        </span>
      ),
    },
    {
      id: "topics",
      header: t("notifications.topics"),
      cell: (target) => target.topics.map((topic) => t(`events.topics.${topic}`)).join(", "),
    },
    { id: "state", header: t("notifications.state"), cell: (target) => <State target={target} /> },
    {
      id: "enabled",
      header: t("notifications.enabled"),
      cell: (target) => (
        <Switch
          aria-label={t("notifications.enabledNamed", { name: target.name })}
          checked={target.enabled}
          disabled={patch.isPending || !mayEdit}
          onCheckedChange={(on) => patch.mutate({ id: target.id, patch: { enabled: on } })}
        />
      ),
    },
    ...(mayEdit
      ? [
          {
            id: "actions",
            header: <span className="sr-only">{t("common.actions")}</span>,
            cell: (target: NotificationTargetView) => (
              <span className="inline-flex flex-wrap gap-1 max-sm:justify-end">
                <Button
                  size="sm"
                  variant="ghost"
                  aria-label={t("notifications.testNamed", { name: target.name })}
                  loading={attempt.isPending && attempt.variables.id === target.id}
                  onClick={() => attempt.mutate({ id: target.id })}
                >
                  {t("notifications.test")}
                </Button>
                <Button
                  size="sm"
                  variant="ghost"
                  aria-label={t("notifications.editNamed", { name: target.name })}
                  onClick={() => setEdited(target)}
                >
                  {t("notifications.edit")}
                </Button>
                <Button
                  size="sm"
                  variant="ghost"
                  aria-label={t("notifications.deleteNamed", { name: target.name })}
                  onClick={() => {
                    remove.reset();
                    setAsked(target);
                  }}
                >
                  {t("notifications.delete")}
                </Button>
              </span>
            ),
          },
        ]
      : []),
  ];
  return (
    <Card>
      <CardHeader
        title={t("notifications.title")}
        hint={t("notifications.hint")}
        actions={
          <May scope="admin">
            <Button size="sm" onClick={() => setEdited("new")}>
              <Plus aria-hidden /> {t("notifications.add")}
            </Button>
          </May>
        }
      />
      {patch.error || attempt.error ? <ProblemCallout error={(patch.error ?? attempt.error)!} /> : null}
      {targets.data === undefined ? (
        targets.error ? (
          <ProblemView error={targets.error} onRetry={() => void targets.refetch()} />
        ) : (
          <SkeletonRows rows={2} label={t("common.loading")} />
        )
      ) : targets.data.data.length === 0 ? (
        <EmptyState icon={BellRing} title={t("notifications.empty")}>
          {t("notifications.emptyHint")}
        </EmptyState>
      ) : (
        <DataTable caption={t("notifications.title")} columns={columns} rows={targets.data.data} rowKey={(target) => target.id} />
      )}
      {edited ? <TargetDialog target={edited === "new" ? null : edited} onClose={() => setEdited(null)} /> : null}
      <ConfirmDialog
        open={asked !== null}
        onOpenChange={(open) => (open ? undefined : setAsked(null))}
        title={t("notifications.deleteTitle", { name: asked?.name ?? "" })}
        consequence={<p>{t("notifications.deleteConsequence", { waiting: asked?.waiting ?? 0 })}</p>}
        confirmLabel={t("notifications.delete")}
        cancelLabel={t("common.cancel")}
        loading={remove.isPending}
        error={remove.error ? <ProblemCallout error={remove.error} /> : undefined}
        onConfirm={() => asked && remove.mutate({ id: asked.id })}
      />
    </Card>
  );
}

/** How the last attempt went, why it failed, and what still waits. */
function State({ target }: { target: NotificationTargetView }) {
  const t = useTranslations("notifications");
  const { last, waiting, dropped, nextAt } = target;
  const isDelivered = last?.outcome === "delivered";
  return (
    <div className="space-y-1">
      {last === null ? (
        <Chip icon={CircleDashed}>{t("untried")}</Chip>
      ) : (
        <>
          <Chip tone={isDelivered ? "good" : "bad"} icon={isDelivered ? CircleCheck : CircleAlert}>
            {isDelivered ? t("delivered") : t("failing")}
          </Chip>
          <span className="ml-1.5 text-soft text-xs">
            <When at={last.at} />
          </span>
          {isDelivered ? null : <p className="text-xs">{t(`outcomes.${last.outcome}`, { status: last.status ?? 0 })}</p>}
          {isDelivered || nextAt === null ? null : (
            <p className="text-soft text-xs">
              {t("next")} <When at={nextAt} />
            </p>
          )}
        </>
      )}
      {waiting > 0 ? <p className="text-soft text-xs">{t("waiting", { count: waiting })}</p> : null}
      {dropped > 0 ? <p className="text-soft text-xs">{t("dropped", { count: dropped })}</p> : null}
    </div>
  );
}

/** Adds a target, or changes one; an edited target's secret stays when nothing is typed. */
function TargetDialog({ target, onClose }: { target: NotificationTargetView | null; onClose: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [isSecretGone, setSecretGone] = useState(false);
  const form = useForm<FormValues, unknown, NotificationTargetSpec>({
    defaultValues: {
      name: target?.name ?? "",
      url: target?.url ?? "",
      topics: target?.topics ?? ["drift", "health", "takeover", "nodes"],
      secret: "",
    },
    resolver: useSchemaResolver(NotificationTargetSpec, withoutEmptySecret),
  });
  const done = {
    onSuccess: ({ name }: NotificationTargetView) => {
      toast.success(t("notifications.saved", { name }));
      void queryClient.invalidateQueries(trpc.notificationTarget.list.pathFilter());
      onClose();
    },
  };
  const create = useMutation(trpc.notificationTarget.create.mutationOptions(done));
  const patch = useMutation(trpc.notificationTarget.patch.mutationOptions(done));
  const save = (spec: NotificationTargetSpec) => {
    if (target === null) return create.mutate({ spec });
    const { name, url, topics, secret } = spec;
    const change: NotificationTargetPatch = { name, url, topics, ...(isSecretGone ? { secret: null } : { secret }) };
    patch.mutate({ id: target.id, patch: change });
  };
  const error = create.error ?? patch.error;
  const { errors } = form.formState;
  const verb = target === null ? t("notifications.add") : t("notifications.save");
  return (
    <Dialog
      open
      onOpenChange={(open) => (open ? undefined : onClose())}
      title={target === null ? t("notifications.add") : t("notifications.editNamed", { name: target.name })}
      description={t("notifications.rules")}
      closeLabel={t("common.close")}
    >
      <form
        noValidate
        method="post"
        className="space-y-4"
        onSubmit={(event) => void form.handleSubmit((spec) => save(spec))(event)}
      >
        {error ? <ProblemCallout error={error} /> : null}
        <Field label={t("notifications.name")} hint={t("notifications.nameHint")} error={errors.name?.message}>
          <Input {...form.register("name")} autoComplete="off" />
        </Field>
        <Field label="URL" hint={t("notifications.urlHint")} error={errors.url?.message}>
          <Input {...form.register("url")} type="url" autoComplete="off" placeholder="https://hooks.example.com/trigon" />
        </Field>
        <fieldset className="space-y-2">
          <legend className="mb-1.5 font-medium text-[0.8125rem]">{t("notifications.topics")}</legend>
          <p className="text-soft text-xs">{t("notifications.topicsHint")}</p>
          {EventTopic.options.map((topic) => (
            <label key={topic} className="flex items-start gap-2">
              <input type="checkbox" value={topic} className="mt-0.5 size-4 accent-accent" {...form.register("topics")} />
              <span>{t(`events.topics.${topic}`)}</span>
            </label>
          ))}
          {errors.topics?.message ? <FieldMessage>{errors.topics.message}</FieldMessage> : null}
        </fieldset>
        <Field
          label={t("notifications.secret")}
          hint={target?.hasSecret ? t("notifications.secretKept") : t("notifications.secretHint")}
          error={errors.secret?.message}
        >
          <Input {...form.register("secret")} type="password" autoComplete="new-password" disabled={isSecretGone} />
        </Field>
        {target?.hasSecret ? (
          <label className="flex items-start gap-2">
            <input
              type="checkbox"
              className="mt-0.5 size-4 accent-accent"
              checked={isSecretGone}
              onChange={(event) => setSecretGone(event.target.checked)}
            />
            <span>{t("notifications.secretRemove")}</span>
          </label>
        ) : null}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" variant="primary" loading={create.isPending || patch.isPending}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

type FormValues = { name: string; url: string; topics: EventTopic[]; secret?: string };

function withoutEmptySecret({ secret, ...values }: FormValues) {
  return { values: secret ? { ...values, secret } : values, toForm: (pointer: string) => pointer };
}
