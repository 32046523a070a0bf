"use client";
import type { NodeView } from "@trigon/model";
import { Chip } from "@trigon/ui";
import { Ban, Copy, Plug, Trash2, Unplug } from "lucide-react";
import { useTranslations } from "use-intl";

/** Whether a node may talk, and whether it does. */
export function NodeStateChip({ node }: { node: Pick<NodeView, "state" | "isConnected"> }) {
  const t = useTranslations("nodeState");
  switch (node.state) {
    case "revoked":
      return (
        <Chip tone="bad" icon={Ban}>
          {t("revoked")}
        </Chip>
      );
    case "quarantined":
      return (
        <Chip tone="bad" icon={Copy}>
          {t("quarantined")}
        </Chip>
      );
    case "decommissioned":
      return (
        <Chip tone="idle" icon={Trash2}>
          {t("decommissioned")}
        </Chip>
      );
    case "active":
      return node.isConnected ? (
        <Chip tone="good" icon={Plug}>
          {t("connected")}
        </Chip>
      ) : (
        <Chip tone="warn" icon={Unplug}>
          {t("disconnected")}
        </Chip>
      );
  }
}
