"use client";
import { endpoint, type VirtualServiceView } from "@trigon/model";
import { Card, CardHeader, Facts, ForwardingPicture } from "@trigon/ui";
import { useTranslations } from "use-intl";
import { Moment } from "../../components/time.tsx";
import { usePictureLabels } from "./picture-labels.ts";

/** How a service is set, in the words of its form, beside the packet's way. */
export function SettingsTab({ view }: { view: VirtualServiceView }) {
  const t = useTranslations();
  const labels = usePictureLabels();
  const { snatSource } = view;
  const isNamed = snatSource === "vip" || snatSource === "dip";
  const sourceText = isNamed ? t(`snatSource.${snatSource}`) : t("snatSource.floating", { address: snatSource });
  const rows = [
    { name: t("form.vip"), value: <span className="font-mono text-[0.8125rem]">{endpoint(view.vip, view.port)}</span> },
    { name: t("form.protocol"), value: view.protocol.toUpperCase() },
    { name: t("form.forwarding"), value: t(`forwarding.${view.forwarding}.name`) },
    ...(view.forwarding === "tun" ? [{ name: t("form.encapsulation"), value: view.encapsulation.toUpperCase() }] : []),
    ...(view.forwarding === "fullnat" ? [{ name: t("form.snatSource"), value: sourceText }] : []),
    { name: t("form.scheduler"), value: `${view.scheduler} — ${t(`scheduler.${view.scheduler}`)}` },
    {
      name: t("form.persistence"),
      value: view.persistence
        ? t("service.persistenceValue", { seconds: view.persistence.timeoutSeconds, prefix: view.persistence.granularity })
        : t("common.off"),
    },
    ...(view.protocol === "udp" ? [{ name: t("form.onePacket"), value: view.onePacket ? t("common.on") : t("common.off") }] : []),
    {
      name: t("form.allow"),
      value:
        view.allow.length === 0 ? (
          t("form.everyone")
        ) : (
          <span className="break-words font-mono text-[0.8125rem]">{view.allow.join(", ")}</span>
        ),
    },
    { name: t("form.enabled"), value: view.enabled ? t("common.on") : t("common.off") },
    { name: t("service.revision"), value: view.revision },
    { name: t("service.created"), value: <Moment at={view.createdAt} /> },
    { name: t("service.updated"), value: <Moment at={view.updatedAt} /> },
  ];
  return (
    <div className="grid gap-4 lg:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
      <Card>
        <CardHeader title={t("service.tabs.settings")} />
        <Facts className="p-4" rows={rows} />
      </Card>
      <Card className="self-start">
        <CardHeader title={t("service.packetWay")} />
        <div className="p-4">
          <ForwardingPicture
            forwarding={view.forwarding}
            labels={labels(view.forwarding)}
            vip={endpoint(view.vip, view.port)}
            encapsulation={view.encapsulation}
            snatSource={view.snatSource}
            className="mx-auto w-full max-w-md"
          />
          <p className="mt-3 text-soft">{t(`forwarding.${view.forwarding}.explain`)}</p>
        </div>
      </Card>
    </div>
  );
}
