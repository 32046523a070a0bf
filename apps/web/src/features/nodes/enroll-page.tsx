"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { EnrollmentTokenSpec, NodeRole } from "@trigon/model";
import { Button, Callout, Card, CardHeader, CopyBox, Field, Input, Select, Tabs } from "@trigon/ui";
import { useState } from "react";
import { useForm, useWatch as useFormWatch } from "react-hook-form";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { useSchemaResolver } from "../../lib/form.ts";
import { live, useWatch } from "../../lib/live.ts";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";
import { EnrollmentProgress } from "./enrollment-progress.tsx";
import { EnrollmentTokens } from "./enrollment-tokens.tsx";

type Created = Outputs["enrollmentToken"]["create"];

/** From a role to one line to copy, and then the row that comes alive as the machine joins. */
export function EnrollPage() {
  const t = useTranslations();
  const trpc = useTRPC();
  const [created, setCreated] = useState<Created | null>(null);
  const tokens = useQuery({ ...trpc.enrollmentToken.list.queryOptions({ limit: 50 }), ...live, refetchInterval: 3000 });
  useWatch("enrollmentToken");
  const current = created ? (tokens.data?.data.find(({ id }) => id === created.id) ?? created) : null;
  return (
    <>
      <PageHeader title={t("enroll.title")} parent={{ href: "/nodes", label: t("nav.nodes") }} hint={t("enroll.hint")} />
      <div className="max-w-5xl space-y-4">
        {created && current ? (
          <>
            <CommandCard created={created} onAnother={() => setCreated(null)} />
            <EnrollmentProgress token={current} />
          </>
        ) : (
          <EnrollForm onCreated={setCreated} />
        )}
        <EnrollmentTokens tokens={tokens.data?.data} error={tokens.error} onRetry={() => void tokens.refetch()} />
      </div>
    </>
  );
}

const lifetimes = [3600, 14400, 86400, 604800] as const;
type FormValues = { role: NodeRole; directorGroupId: string | null; name: string | null; expiresInSeconds: number };

function EnrollForm({ onCreated }: { onCreated: (created: Created) => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const groups = useQuery(trpc.directorGroup.list.queryOptions({ limit: 100 }));
  const form = useForm<FormValues, unknown, EnrollmentTokenSpec>({
    defaultValues: { role: "director", directorGroupId: null, name: null, expiresInSeconds: 3600 },
    resolver: useSchemaResolver(EnrollmentTokenSpec),
  });
  const role = useFormWatch({ control: form.control, name: "role" });
  const create = useMutation(
    trpc.enrollmentToken.create.mutationOptions({
      onSuccess: (token) => {
        onCreated(token);
        void queryClient.invalidateQueries(trpc.enrollmentToken.list.pathFilter());
      },
    }),
  );
  const { errors } = form.formState;
  return (
    <Card>
      <form noValidate onSubmit={(event) => void form.handleSubmit((spec) => create.mutate({ spec }))(event)}>
        <CardHeader title={t("enroll.step1")} />
        <div className="space-y-4 p-4">
          {create.error ? <ProblemCallout error={create.error} /> : null}
          <fieldset className="grid gap-3 sm:grid-cols-2">
            <legend className="mb-1.5 font-medium text-[0.8125rem]">{t("enroll.role")}</legend>
            {NodeRole.options.map((option) => (
              <label
                key={option}
                className={`flex cursor-pointer items-start gap-2.5 rounded-lg border-2 p-3 has-[:focus-visible]:outline-2 has-[:focus-visible]:outline-accent has-[:focus-visible]:outline-offset-2 ${
                  role === option ? "border-accent bg-accent-soft/40" : "border-line hover:border-line-strong"
                }`}
              >
                <input
                  type="radio"
                  value={option}
                  className="mt-0.5 size-4 accent-accent focus-visible:outline-none"
                  {...form.register("role")}
                />
                <span>
                  <span className="font-medium">{t(`role.${option}`)}</span>
                  <span className="block text-soft text-xs">{t(`enroll.roleHint.${option}`)}</span>
                </span>
              </label>
            ))}
          </fieldset>
          <div className="grid gap-4 sm:grid-cols-3">
            {role === "director" && (groups.data?.data.length ?? 0) > 1 ? (
              <Field label={t("enroll.group")} error={errors.directorGroupId?.message}>
                <Select {...form.register("directorGroupId", { setValueAs: orNull })}>
                  <option value="">{t("enroll.defaultGroup")}</option>
                  {groups.data?.data.map((group) => (
                    <option key={group.id} value={group.id}>
                      {group.name}
                    </option>
                  ))}
                </Select>
              </Field>
            ) : null}
            <Field label={t("enroll.name")} note={t("common.optional")} hint={t("enroll.nameHint")} error={errors.name?.message}>
              <Input {...form.register("name", { setValueAs: orNull })} autoComplete="off" />
            </Field>
            <Field label={t("enroll.lifetime")} error={errors.expiresInSeconds?.message}>
              <Select {...form.register("expiresInSeconds", { setValueAs: Number })}>
                {lifetimes.map((seconds) => (
                  <option key={seconds} value={seconds}>
                    {seconds < 86400
                      ? t("enroll.hours", { count: seconds / 3600 })
                      : t("enroll.days", { count: seconds / 86400 })}
                  </option>
                ))}
              </Select>
            </Field>
          </div>
          <Button type="submit" variant="primary" loading={create.isPending}>
            {t("enroll.create")}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function orNull(text: unknown): unknown {
  return typeof text === "string" && text.trim() === "" ? null : text;
}

function CommandCard({ created, onAnother }: { created: Created; onAnother: () => void }) {
  const t = useTranslations();
  const [tool, setTool] = useState<"curl" | "wget" | "ansible">("curl");
  const box = (text: string) => (
    <CopyBox text={text} label={t("enroll.line")} copyLabel={t("common.copy")} copiedLabel={t("common.copied")} />
  );
  return (
    <Card>
      <CardHeader
        title={t("enroll.step2", { role: t(`role.${created.role}`) })}
        hint={t("enroll.step2Hint")}
        actions={
          <Button size="sm" onClick={onAnother}>
            {t("enroll.another")}
          </Button>
        }
      />
      <div className="space-y-3 p-4 pt-2">
        <Tabs
          label={t("enroll.tool")}
          value={tool}
          onValueChange={setTool}
          items={[
            { value: "curl", label: "curl", content: box(created.commands.curl) },
            { value: "wget", label: "wget", content: box(created.commands.wget) },
            { value: "ansible", label: "Ansible", content: box(created.commands.ansible) },
          ]}
        />
        <Callout tone="info">
          {t("enroll.once")} {t("enroll.offline")}
        </Callout>
      </div>
    </Card>
  );
}
