"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import type { EnrollmentTokenView } from "@trigon/model";
import {
  Button,
  Card,
  CardHeader,
  Chip,
  type Column,
  ConfirmDialog,
  DataTable,
  SkeletonRows,
  type Tone,
  toast,
} from "@trigon/ui";
import { Ban, CircleCheck, CircleX, Clock, Download, type LucideIcon, Plug, Ticket } from "lucide-react";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { ProblemCallout, ProblemView } from "../../components/problem-view.tsx";
import { TextLink } from "../../components/text-link.tsx";
import { When } from "../../components/time.tsx";
import { useTRPC } from "../../lib/trpc.ts";

const looks: Record<EnrollmentTokenView["stage"], { tone: Tone; icon: LucideIcon }> = {
  created: { tone: "idle", icon: Ticket },
  scriptFetched: { tone: "busy", icon: Download },
  preflightFailed: { tone: "bad", icon: CircleX },
  enrolled: { tone: "busy", icon: CircleCheck },
  connected: { tone: "busy", icon: Plug },
  inSync: { tone: "good", icon: CircleCheck },
  expired: { tone: "idle", icon: Clock },
  revoked: { tone: "idle", icon: Ban },
};

/** Tokens made so far and what became of them. */
export function EnrollmentTokens(props: { tokens: EnrollmentTokenView[] | undefined; error: unknown; onRetry: () => void }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const queryClient = useQueryClient();
  const [asked, setAsked] = useState<EnrollmentTokenView | null>(null);
  const revoke = useMutation(
    trpc.enrollmentToken.revoke.mutationOptions({
      onSuccess: () => {
        setAsked(null);
        toast.success(t("enroll.tokenRevoked"));
        void queryClient.invalidateQueries(trpc.enrollmentToken.list.pathFilter());
      },
    }),
  );
  const columns: Column<EnrollmentTokenView>[] = [
    {
      id: "what",
      header: t("enroll.token"),
      isRowHeader: true,
      cell: (token) => (
        <span>
          {token.nodeId ? (
            <TextLink href={`/nodes/${token.nodeId}`}>{token.name ?? t(`role.${token.role}`)}</TextLink>
          ) : (
            (token.name ?? t(`role.${token.role}`))
          )}
          <span className="block font-mono text-soft text-xs">{token.id}</span>
        </span>
      ),
    },
    { id: "role", header: t("nodes.role"), cell: (token) => t(`role.${token.role}`) },
    {
      id: "stage",
      header: t("enroll.stage"),
      cell: (token) => (
        <Chip tone={looks[token.stage].tone} icon={looks[token.stage].icon}>
          {t(`stage.${token.stage}`)}
        </Chip>
      ),
    },
    { id: "by", header: t("enroll.createdBy"), cell: (token) => token.createdBy },
    { id: "created", header: t("enroll.createdAt"), cell: (token) => <When at={token.createdAt} /> },
    {
      id: "expires",
      header: t("enroll.expires"),
      cell: (token) => (token.usedAt ? <span className="text-soft">{t("enroll.used")}</span> : <When at={token.expiresAt} />),
    },
    {
      id: "revoke",
      header: <span className="sr-only">{t("common.actions")}</span>,
      cell: (token) =>
        token.usedAt === null && token.revokedAt === null && token.stage !== "expired" ? (
          <Button
            size="sm"
            variant="ghost"
            onClick={() => {
              revoke.reset();
              setAsked(token);
            }}
          >
            {t("enroll.revoke")}
          </Button>
        ) : null,
    },
  ];
  return (
    <Card>
      <CardHeader title={t("enroll.tokens")} />
      {props.tokens === undefined ? (
        props.error ? (
          <ProblemView error={props.error} onRetry={props.onRetry} />
        ) : (
          <SkeletonRows rows={3} label={t("common.loading")} />
        )
      ) : props.tokens.length === 0 ? (
        <p className="px-4 py-5 text-soft">{t("enroll.noTokens")}</p>
      ) : (
        <DataTable caption={t("enroll.tokens")} columns={columns} rows={props.tokens} rowKey={(token) => token.id} />
      )}
      <ConfirmDialog
        open={asked !== null}
        onOpenChange={(open) => (open ? undefined : setAsked(null))}
        title={t("enroll.revokeTitle", { id: asked?.id ?? "" })}
        consequence={<p>{t("enroll.revokeConsequence")}</p>}
        confirmLabel={t("enroll.revoke")}
        cancelLabel={t("common.cancel")}
        loading={revoke.isPending}
        error={revoke.error ? <ProblemCallout error={revoke.error} /> : undefined}
        onConfirm={() => asked && revoke.mutate({ id: asked.id })}
      />
    </Card>
  );
}
