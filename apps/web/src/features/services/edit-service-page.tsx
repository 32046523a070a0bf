"use client";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import type { VirtualServiceView } from "@trigon/model";
import { Button, Callout, SkeletonRows, toast } from "@trigon/ui";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { ProblemView } from "../../components/problem-view.tsx";
import { live, useWatch } from "../../lib/live.ts";
import { problemOf } from "../../lib/problem.ts";
import { useTRPC } from "../../lib/trpc.ts";
import { ServiceForm } from "./service-form.tsx";
import { specOf } from "./spec.ts";

export function EditServicePage({ id }: { id: string }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const service = useQuery({ ...trpc.virtualService.get.queryOptions({ id }), ...live });
  useWatch("virtualService");
  const name = service.data?.name ?? t("service.title");
  return (
    <>
      <PageHeader title={t("form.editTitle", { name })} parent={{ href: `/services/${id}`, label: name }} />
      {service.data ? (
        <Editor latest={service.data} />
      ) : service.error ? (
        <ProblemView error={service.error} onRetry={() => void service.refetch()} />
      ) : (
        <SkeletonRows label={t("common.loading")} />
      )}
    </>
  );
}

/** Edits the revision it was opened on. When somebody else saves meanwhile, it says so and never overwrites. */
function Editor({ latest }: { latest: VirtualServiceView }) {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const queryClient = useQueryClient();
  const [base, setBase] = useState(latest);
  const replace = useMutation(
    trpc.virtualService.replace.mutationOptions({
      onSuccess: (written) => {
        toast.success(t("form.saved", { name: written.name }));
        void queryClient.invalidateQueries(trpc.virtualService.pathFilter());
        void queryClient.invalidateQueries(trpc.change.pathFilter());
        router.push(`/services/${written.id}`);
      },
      onError: () => void queryClient.invalidateQueries(trpc.virtualService.get.queryFilter({ id: base.id })),
    }),
  );
  const isStale =
    !replace.isPending &&
    !replace.isSuccess &&
    (latest.revision > base.revision || (replace.error !== null && problemOf(replace.error).code === "revision.stale"));
  return (
    <ServiceForm
      key={base.revision}
      id={base.id}
      values={specOf(base)}
      submitLabel={t("form.save")}
      cancelHref={`/services/${base.id}`}
      isSaving={replace.isPending || replace.isSuccess}
      error={isStale ? null : replace.error}
      notice={
        isStale ? (
          <Callout
            tone="warn"
            title={t("errors.stale")}
            action={
              <Button
                size="sm"
                onClick={() => {
                  replace.reset();
                  setBase(latest);
                }}
              >
                {t("errors.reload")}
              </Button>
            }
          >
            {t("errors.staleHint")}
          </Callout>
        ) : undefined
      }
      onSubmit={(spec, guarded) => replace.mutate({ id: base.id, revision: base.revision, spec, ...guarded })}
      writeOf={(spec) => ({ action: "replace", id: base.id, revision: base.revision, spec })}
    />
  );
}
