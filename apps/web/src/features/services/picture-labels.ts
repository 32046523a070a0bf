"use client";
import type { Forwarding } from "@trigon/model";
import type { PictureLabels } from "@trigon/ui";
import { useTranslations } from "use-intl";

/** The words of the packet's picture in the reader's language. */
export function usePictureLabels(): (forwarding: Forwarding) => PictureLabels {
  const t = useTranslations();
  return (forwarding) => ({
    client: t("picture.client"),
    director: t("picture.director"),
    realServer: t("picture.realServer"),
    request: t("picture.request"),
    reply: t("picture.reply"),
    description: t(`forwarding.${forwarding}.explain`),
  });
}
