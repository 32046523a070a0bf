"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ApiTokenSpec, Scope } from "@trigon/model";
import {
  Button,
  Callout,
  Card,
  CardHeader,
  Chip,
  type Column,
  ConfirmDialog,
  CopyBox,
  DataTable,
  Dialog,
  EmptyState,
  Field,
  FieldMessage,
  Input,
  SkeletonRows,
  toast,
} from "@trigon/ui";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { Moment, When } from "../../components/time.tsx";
import { numberTyped } from "../../lib/field-issues.ts";
import { useSchemaResolver } from "../../lib/form.ts";
import { type Outputs, useTRPC } from "../../lib/trpc.ts";

type ApiToken = Outputs["apiToken"]["list"]["data"][number];

/** Tokens for programs: made, shown once, revoked. */
export function ApiTokens() {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const tokens = useQuery(trpc.apiToken.list.queryOptions({ limit: 200 }));
  const [isCreating, setCreating] = useState(false);
  const [asked, setAsked] = useState<ApiToken | null>(null);
  const revoke = useMutation(
    trpc.apiToken.revoke.mutationOptions({
      onSuccess: () => {
        toast.success(t("apiTokens.revoked", { name: asked?.name ?? "" }));
        setAsked(null);
        void queryClient.invalidateQueries(trpc.apiToken.list.pathFilter());
      },
    }),
  );
  const columns: Column<ApiToken>[] = [
    {
      id: "name",
      header: t("apiTokens.name"),
      isRowHeader: true,
      cell: (token) => (
        <span>
          <span className="font-medium">{token.name}</span>
          <span className="block font-mono text-soft text-xs">{token.prefix}…</span>
        </span>
      ),
    },
    {
      id: "scopes",
      header: t("apiTokens.scopes"),
      cell: (token) => (
        <span className="inline-flex flex-wrap gap-1 max-sm:justify-end">
          {token.scopes.map((scope) => (
            <Chip key={scope}>{scope}</Chip>
          ))}
        </span>
      ),
    },
    { id: "by", header: t("apiTokens.createdBy"), cell: (token) => token.createdBy },
    {
      id: "used",
      header: t("apiTokens.lastUsed"),
      cell: (token) => (token.lastUsedAt ? <When at={token.lastUsedAt} /> : t("apiTokens.never")),
    },
    { id: "expires", header: t("apiTokens.expires"), cell: (token) => <Moment at={token.expiresAt} /> },
    {
      id: "revoke",
      header: <span className="sr-only">{t("common.actions")}</span>,
      cell: (token) => (
        <Button
          size="sm"
          variant="ghost"
          aria-label={t("apiTokens.revokeNamed", { name: token.name })}
          onClick={() => {
            revoke.reset();
            setAsked(token);
          }}
        >
          {t("apiTokens.revoke")}
        </Button>
      ),
    },
  ];
  return (
    <Card>
      <CardHeader
        title={t("apiTokens.title")}
        hint={t("apiTokens.hint")}
        actions={
          <Button size="sm" onClick={() => setCreating(true)}>
            <Plus aria-hidden /> {t("apiTokens.create")}
          </Button>
        }
      />
      {tokens.data === undefined ? (
        tokens.error ? (
          <ProblemView error={tokens.error} onRetry={() => void tokens.refetch()} />
        ) : (
          <SkeletonRows rows={3} label={t("common.loading")} />
        )
      ) : tokens.data.data.length === 0 ? (
        <EmptyState icon={KeyRound} title={t("apiTokens.empty")}>
          {t("apiTokens.emptyHint")}
        </EmptyState>
      ) : (
        <DataTable caption={t("apiTokens.title")} columns={columns} rows={tokens.data.data} rowKey={(token) => token.id} />
      )}
      {isCreating ? <CreateDialog onClose={() => setCreating(false)} /> : null}
      <ConfirmDialog
        open={asked !== null}
        onOpenChange={(open) => (open ? undefined : setAsked(null))}
        title={t("apiTokens.revokeTitle", { name: asked?.name ?? "" })}
        consequence={<p>{t("apiTokens.revokeConsequence")}</p>}
        confirmLabel={t("apiTokens.revoke")}
        cancelLabel={t("common.cancel")}
        loading={revoke.isPending}
        error={revoke.error ? <ProblemCallout error={revoke.error} /> : undefined}
        onConfirm={() => asked && revoke.mutate({ id: asked.id })}
      />
    </Card>
  );
}

type FormValues = { name: string; scopes: Scope[]; expiresInDays: number };

/** The form, and after it the secret: closing the sheet is the last time it is seen. */
function CreateDialog({ onClose }: { onClose: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const form = useForm<FormValues, unknown, ApiTokenSpec>({
    defaultValues: { name: "", scopes: ["read"], expiresInDays: 90 },
    resolver: useSchemaResolver(ApiTokenSpec),
  });
  const create = useMutation(
    trpc.apiToken.create.mutationOptions({
      onSuccess: () => void queryClient.invalidateQueries(trpc.apiToken.list.pathFilter()),
    }),
  );
  const { errors } = form.formState;
  return (
    <Dialog
      open
      onOpenChange={(open) => (open ? undefined : onClose())}
      title={create.data ? t("apiTokens.createdTitle", { name: create.data.name }) : t("apiTokens.create")}
      closeLabel={t("common.close")}
    >
      {create.data ? (
        <div className="space-y-4">
          <Callout tone="warn">{t("apiTokens.once")}</Callout>
          <CopyBox
            text={create.data.token}
            label={t("apiTokens.secret")}
            copyLabel={t("common.copy")}
            copiedLabel={t("common.copied")}
          />
          <div className="flex justify-end">
            <Button variant="primary" onClick={onClose}>
              {t("common.done")}
            </Button>
          </div>
        </div>
      ) : (
        <form
          noValidate
          className="space-y-4"
          onSubmit={(event) => void form.handleSubmit((spec) => create.mutate({ spec }))(event)}
        >
          {create.error ? <ProblemCallout error={create.error} /> : null}
          <Field label={t("apiTokens.name")} error={errors.name?.message}>
            <Input {...form.register("name")} autoComplete="off" placeholder="terraform" />
          </Field>
          <fieldset className="space-y-2">
            <legend className="mb-1.5 font-medium text-[0.8125rem]">{t("apiTokens.scopes")}</legend>
            {Scope.options.map((scope) => (
              <label key={scope} className="flex items-start gap-2">
                <input type="checkbox" value={scope} className="mt-0.5 size-4 accent-accent" {...form.register("scopes")} />
                <span>
                  <code className="font-mono text-[0.8125rem]">{scope}</code>
                  <span className="block text-soft text-xs">{t(`scope.${scopeKey(scope)}`)}</span>
                </span>
              </label>
            ))}
            {errors.scopes?.message ? <FieldMessage>{errors.scopes.message}</FieldMessage> : null}
          </fieldset>
          <Field label={t("apiTokens.days")} error={errors.expiresInDays?.message}>
            <Input {...form.register("expiresInDays", { setValueAs: numberTyped })} inputMode="numeric" autoComplete="off" />
          </Field>
          <div className="flex justify-end gap-2">
            <Button onClick={onClose}>{t("common.cancel")}</Button>
            <Button type="submit" variant="primary" loading={create.isPending}>
              {t("apiTokens.create")}
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

const scopeKeys = {
  read: "read",
  "virtual-service:write": "virtualServiceWrite",
  "node:write": "nodeWrite",
  "node:enroll": "nodeEnroll",
  "audit:read": "auditRead",
  admin: "admin",
} as const satisfies Record<Scope, string>;

function scopeKey<S extends Scope>(scope: S): (typeof scopeKeys)[S] {
  return scopeKeys[scope];
}
