"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { UserRole, UserSpec, type UserView } from "@trigon/model";
import {
  Button,
  Card,
  CardHeader,
  type Column,
  ConfirmDialog,
  DataTable,
  Dialog,
  Field,
  Input,
  Select,
  SkeletonRows,
  Switch,
  toast,
} from "@trigon/ui";
import { Plus } from "lucide-react";
import { useState } from "react";
import { useForm } from "react-hook-form";
import { useTranslations } from "use-intl";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { useSchemaResolver } from "../../lib/form.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** The people who sign in: added, given a role, disabled, deleted. For administrators only. */
export function Users() {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const users = useQuery(trpc.user.list.queryOptions());
  const [isAdding, setAdding] = useState(false);
  const [asked, setAsked] = useState<UserView | null>(null);
  const [resetting, setResetting] = useState<UserView | null>(null);
  const refetch = () => void queryClient.invalidateQueries(trpc.user.list.pathFilter());
  const patch = useMutation(
    trpc.user.patch.mutationOptions({
      onSuccess: ({ username }) => void toast.success(t("users.saved", { name: username })),
      onSettled: refetch,
    }),
  );
  const remove = useMutation(
    trpc.user.remove.mutationOptions({
      onSuccess: () => {
        setAsked(null);
        refetch();
      },
    }),
  );
  const columns: Column<UserView>[] = [
    {
      id: "name",
      header: t("users.name"),
      isRowHeader: true,
      cell: (user) => <span className="font-medium">{user.username}</span>,
    },
    {
      id: "role",
      header: t("users.role"),
      cell: (user) => (
        <Select
          id={`role-${user.id}`}
          aria-label={t("users.roleOf", { name: user.username })}
          value={user.role}
          disabled={patch.isPending}
          onChange={(event) => patch.mutate({ id: user.id, patch: { role: event.target.value as UserRole } })}
        >
          {UserRole.options.map((role) => (
            <option key={role} value={role}>
              {t(`users.roles.${role}`)}
            </option>
          ))}
        </Select>
      ),
    },
    { id: "sessions", header: t("users.sessions"), cell: (user) => user.sessions },
    {
      id: "enabled",
      header: t("users.maySignIn"),
      cell: (user) => (
        <Switch
          aria-label={t("users.maySignInNamed", { name: user.username })}
          checked={!user.disabled}
          disabled={patch.isPending}
          onCheckedChange={(on) => patch.mutate({ id: user.id, patch: { disabled: !on } })}
        />
      ),
    },
    {
      id: "delete",
      header: <span className="sr-only">{t("common.actions")}</span>,
      cell: (user) => (
        <>
          <Button
            size="sm"
            variant="ghost"
            aria-label={t("users.resetNamed", { name: user.username })}
            onClick={() => setResetting(user)}
          >
            {t("users.reset")}
          </Button>
          <Button
            size="sm"
            variant="ghost"
            aria-label={t("users.deleteNamed", { name: user.username })}
            onClick={() => {
              remove.reset();
              setAsked(user);
            }}
          >
            {t("users.delete")}
          </Button>
        </>
      ),
    },
  ];
  return (
    <Card>
      <CardHeader
        title={t("users.title")}
        hint={t("users.hint")}
        actions={
          <Button size="sm" onClick={() => setAdding(true)}>
            <Plus aria-hidden /> {t("users.add")}
          </Button>
        }
      />
      {patch.error ? <ProblemCallout error={patch.error} /> : null}
      {users.data === undefined ? (
        users.error ? (
          <ProblemView error={users.error} onRetry={() => void users.refetch()} />
        ) : (
          <SkeletonRows rows={2} label={t("common.loading")} />
        )
      ) : (
        <DataTable caption={t("users.title")} columns={columns} rows={users.data.data} rowKey={(user) => user.id} />
      )}
      {resetting ? <ResetDialog user={resetting} onClose={() => setResetting(null)} /> : null}
      {isAdding ? <AddDialog onClose={() => setAdding(false)} /> : null}
      <ConfirmDialog
        open={asked !== null}
        onOpenChange={(open) => (open ? undefined : setAsked(null))}
        title={t("users.deleteTitle", { name: asked?.username ?? "" })}
        consequence={<p>{t("users.deleteConsequence")}</p>}
        confirmLabel={t("users.delete")}
        cancelLabel={t("common.cancel")}
        loading={remove.isPending}
        error={remove.error ? <ProblemCallout error={remove.error} /> : undefined}
        onConfirm={() => asked && remove.mutate({ id: asked.id })}
      />
    </Card>
  );
}

function AddDialog({ onClose }: { onClose: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const form = useForm<UserSpec, unknown, UserSpec>({
    defaultValues: { username: "", role: "viewer", password: "" },
    resolver: useSchemaResolver(UserSpec),
  });
  const create = useMutation(
    trpc.user.create.mutationOptions({
      onSuccess: ({ username }) => {
        toast.success(t("users.saved", { name: username }));
        void queryClient.invalidateQueries(trpc.user.list.pathFilter());
        onClose();
      },
    }),
  );
  const { errors } = form.formState;
  return (
    <Dialog
      open
      onOpenChange={(open) => (open ? undefined : onClose())}
      title={t("users.add")}
      description={t("users.rules")}
      closeLabel={t("common.close")}
    >
      <form
        noValidate
        method="post"
        className="space-y-4"
        onSubmit={(event) => void form.handleSubmit((spec) => create.mutate({ spec }))(event)}
      >
        {create.error ? <ProblemCallout error={create.error} /> : null}
        <Field label={t("users.name")} error={errors.username?.message}>
          <Input {...form.register("username")} autoComplete="off" />
        </Field>
        <Field label={t("users.role")} error={errors.role?.message}>
          <Select {...form.register("role")}>
            {UserRole.options.map((role) => (
              <option key={role} value={role}>
                {t(`users.roles.${role}`)}
              </option>
            ))}
          </Select>
        </Field>
        <Field label={t("users.password")} error={errors.password?.message}>
          <Input {...form.register("password")} type="password" autoComplete="new-password" />
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" variant="primary" loading={create.isPending}>
            {t("users.add")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** Another password for somebody who lost theirs. */
function ResetDialog({ user, onClose }: { user: UserView; onClose: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [password, setPassword] = useState("");
  const patch = useMutation(
    trpc.user.patch.mutationOptions({
      onSuccess: ({ username }) => {
        toast.success(t("users.saved", { name: username }));
        void queryClient.invalidateQueries(trpc.user.list.pathFilter());
        onClose();
      },
    }),
  );
  return (
    <Dialog
      open
      onOpenChange={(open) => (open ? undefined : onClose())}
      title={t("users.resetTitle", { name: user.username })}
      description={t("users.resetHint")}
      closeLabel={t("common.close")}
    >
      <form
        method="post"
        className="space-y-4"
        onSubmit={(event) => {
          event.preventDefault();
          patch.mutate({ id: user.id, patch: { password } });
        }}
      >
        {patch.error ? <ProblemCallout error={patch.error} /> : null}
        <Field label={t("users.newPassword")}>
          <Input
            type="password"
            name="password"
            autoComplete="new-password"
            required
            minLength={8}
            maxLength={128}
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>{t("common.cancel")}</Button>
          <Button type="submit" variant="primary" loading={patch.isPending}>
            {t("users.reset")}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
