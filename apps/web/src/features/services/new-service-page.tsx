"use client";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { toast } from "@trigon/ui";
import { useRouter } from "next/navigation";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { PageHeader } from "../../components/page-header.tsx";
import { useTRPC } from "../../lib/trpc.ts";
import { ServiceForm } from "./service-form.tsx";
import { emptyService } from "./spec.ts";

export function NewServicePage() {
  const t = useTranslations();
  const trpc = useTRPC();
  const router = useRouter();
  const queryClient = useQueryClient();
  const [values] = useState(emptyService);
  const create = useMutation(
    trpc.virtualService.create.mutationOptions({
      onSuccess: (written) => {
        toast.success(t("form.created", { name: written.name }));
        void queryClient.invalidateQueries(trpc.virtualService.rows.pathFilter());
        void queryClient.invalidateQueries(trpc.change.pathFilter());
        router.push(`/services/${written.id}`);
      },
    }),
  );
  return (
    <>
      <PageHeader title={t("form.newTitle")} parent={{ href: "/services", label: t("nav.services") }} />
      <ServiceForm
        values={values}
        submitLabel={t("form.create")}
        cancelHref="/services"
        isSaving={create.isPending || create.isSuccess}
        error={create.error}
        onSubmit={(spec, guarded) => create.mutate({ spec, ...guarded })}
        writeOf={(spec) => ({ action: "create", spec })}
      />
    </>
  );
}
