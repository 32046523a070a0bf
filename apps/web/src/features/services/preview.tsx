"use client";
import { useQuery } from "@tanstack/react-query";
import type { PreviewStep } from "@trigon/model";
import { Button, Callout, Dialog, type DiffStep, DiffView, SkeletonRows } from "@trigon/ui";
import { Eye } from "lucide-react";
import { type ReactNode, useState } from "react";
import { useTranslations } from "use-intl";
import { ProblemCallout } from "../../components/problem-view.tsx";
import { When } from "../../components/time.tsx";
import { useSay } from "../../i18n/say.ts";
import { type Inputs, type Outputs, useTRPC, useTRPCClient } from "../../lib/trpc.ts";

export type ServiceWrite = Inputs["virtualService"]["preview"];
type ChangePreview = Outputs["virtualService"]["preview"];

/** The mutation that asks what a write would do. */
export interface PreviewMutation<Write> {
  mutate: (write: Write) => void;
  data: ChangePreview | undefined;
  error: unknown;
  isPending: boolean;
}

/** Asks what a write would do and shows it in a sheet, from which it can be done. */
export function PreviewButton<Write>({
  preview,
  ask,
  applyLabel,
  onApply,
  children,
}: {
  preview: PreviewMutation<Write>;
  /** Hands the write to `then` once the form is valid. */
  ask: (then: (write: Write) => void) => void;
  applyLabel: string;
  onApply: () => void;
  /** What is chosen before it is done. */
  children?: ReactNode;
}) {
  const t = useTranslations();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button
        loading={preview.isPending}
        onClick={() =>
          ask((write) => {
            setOpen(true);
            preview.mutate(write);
          })
        }
      >
        <Eye aria-hidden /> {t("preview.button")}
      </Button>
      <Dialog
        open={isOpen}
        onOpenChange={setOpen}
        title={t("preview.title")}
        description={t("preview.hint")}
        closeLabel={t("common.close")}
      >
        <PreviewAnswer preview={preview.data} error={preview.error} />
        {children ? <div className="mt-5">{children}</div> : null}
        <div className="mt-5 flex flex-wrap justify-end gap-2">
          <Button onClick={() => setOpen(false)}>{t("preview.back")}</Button>
          <Button
            variant="primary"
            disabled={preview.data === undefined}
            onClick={() => {
              setOpen(false);
              onApply();
            }}
          >
            {applyLabel}
          </Button>
        </div>
      </Dialog>
    </>
  );
}

/** What a deletion would do, read while its dialog is open. */
export function DeletionPreview({ id, revision }: { id: string; revision: number }) {
  const trpc = useTRPC();
  const client = useTRPCClient();
  const preview = useQuery({
    queryKey: [...trpc.virtualService.preview.mutationKey(), "delete", id, revision],
    queryFn: ({ signal }) => client.virtualService.preview.mutate({ action: "delete", id, revision }, { signal }),
    retry: false,
  });
  return <PreviewAnswer preview={preview.data} error={preview.error} />;
}

/** What a release would do and what it leaves in the kernels, or why it cannot be. */
export function ReleasePreview({ id, revision }: { id: string; revision: number }) {
  const t = useTranslations("preview");
  const trpc = useTRPC();
  const client = useTRPCClient();
  const { data, error } = useQuery({
    queryKey: [...trpc.virtualService.preview.mutationKey(), "release", id, revision],
    queryFn: ({ signal }) => client.virtualService.preview.mutate({ action: "release", id }, { signal }),
    retry: false,
  });
  const kept = data?.nodes.filter(({ keeps }) => keeps && keeps.length > 0) ?? [];
  return (
    <>
      {kept.map(({ nodeId, nodeName, keeps }) => (
        <div key={nodeId} className="mb-3">
          <p>{t("keeps", { node: nodeName })}</p>
          <pre className="overflow-x-auto font-mono text-xs">{keeps!.join("\n")}</pre>
        </div>
      ))}
      <PreviewAnswer preview={data} error={error} />
    </>
  );
}

/** What one thing done to many services would do, read while its dialog is open. */
export function BulkPreview({ spec }: { spec: Inputs["virtualService"]["bulk"]["spec"] }) {
  const trpc = useTRPC();
  const client = useTRPCClient();
  const preview = useQuery({
    queryKey: [...trpc.virtualService.preview.mutationKey(), "bulk", spec.action, ...spec.ids],
    queryFn: ({ signal }) => client.virtualService.preview.mutate({ action: "bulk", spec }, { signal }),
    retry: false,
  });
  return <PreviewAnswer preview={preview.data} error={preview.error} />;
}

function PreviewAnswer({ preview, error }: { preview: ChangePreview | undefined; error: unknown }) {
  const t = useTranslations("preview");
  if (error) return <ProblemCallout error={error} />;
  if (!preview) return <SkeletonRows label={t("asking")} />;
  if (preview.nodes.length === 0) return <Callout tone="info">{t(preview.changesAnything ? "noNode" : "nothing")}</Callout>;
  return <PreviewNodes preview={preview} />;
}

function PreviewNodes({ preview }: { preview: ChangePreview }) {
  const t = useTranslations("preview");
  const say = useSay();
  const stepOf = (step: PreviewStep): DiffStep => ({
    kind: step.code.startsWith("create.") ? "add" : step.code.startsWith("update.") ? "change" : "remove",
    text: say("step", step.code, step.sentence, step.values),
    commands: step.commands,
    note: step.connections
      ? t("connections", { active: step.connections.active, inactive: step.connections.inactive })
      : undefined,
  });
  return (
    <DiffView
      kinds={{ add: t("add"), change: t("change"), remove: t("remove") }}
      groups={preview.nodes.map((node) => ({
        key: node.nodeId,
        title: node.nodeName,
        hint: node.isConnected
          ? node.observedAt && (
              <>
                {t("observed")} <When at={node.observedAt} />
              </>
            )
          : t("away"),
        steps: node.steps.map(stepOf),
        problems: node.problems.map(({ code, message }) => say("reason", code, message)),
      }))}
    />
  );
}
