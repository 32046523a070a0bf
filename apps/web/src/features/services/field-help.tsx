"use client";
import type { FieldHelp } from "@trigon/ui";
import { useTranslations } from "use-intl";

/** What the API takes when a field is left out, and what ipvsadm and the kernel call it; empty: they know no such thing. */
const facts = {
  name: { byDefault: "", kernel: "" },
  vip: { byDefault: "", kernel: "ipvsadm -A -t VIP:port · IPVS_SVC_ATTR_ADDR" },
  port: { byDefault: "", kernel: "IPVS_SVC_ATTR_PORT" },
  protocol: { byDefault: "tcp", kernel: "ipvsadm -t, -u, --sctp-service · IPVS_SVC_ATTR_PROTOCOL" },
  rip: { byDefault: "", kernel: "ipvsadm -a -r RIP · IPVS_DEST_ATTR_ADDR" },
  realServerPort: { byDefault: "", kernel: "IPVS_DEST_ATTR_PORT" },
  weight: { byDefault: "1", kernel: "ipvsadm -w · IPVS_DEST_ATTR_WEIGHT" },
  realServerForwarding: { byDefault: "", kernel: "ipvsadm -g, -i, -m · IPVS_DEST_ATTR_FWD_METHOD" },
  upperThreshold: { byDefault: "0", kernel: "ipvsadm -x · IPVS_DEST_ATTR_U_THRESH" },
  lowerThreshold: { byDefault: "0", kernel: "ipvsadm -y · IPVS_DEST_ATTR_L_THRESH" },
  scheduler: { byDefault: "wlc", kernel: "ipvsadm -s · IPVS_SVC_ATTR_SCHED_NAME" },
  directorGroup: { byDefault: "", kernel: "" },
  encapsulation: { byDefault: "ipip", kernel: "ipvsadm --tun-type · IPVS_DEST_ATTR_TUN_TYPE" },
  snatSource: { byDefault: "vip", kernel: "iptables -t nat -m ipvs … -j SNAT · net.ipv4.vs.conntrack" },
  slowStart: { byDefault: "0", kernel: "" },
  allow: { byDefault: "", kernel: "iptables" },
  persistenceTimeout: { byDefault: "300", kernel: "ipvsadm -p · IPVS_SVC_ATTR_TIMEOUT" },
  persistenceGranularity: { byDefault: "32", kernel: "ipvsadm -M · IPVS_SVC_ATTR_NETMASK" },
  description: { byDefault: "", kernel: "" },
} as const;
export type HelpedField = keyof typeof facts;

/** The help of a field: what it is, its default, and its name in the kernel, for those who know IPVS by hand. */
export function useFieldHelp(): (field: HelpedField, label: string) => FieldHelp {
  const t = useTranslations();
  return (field, label) => {
    const { byDefault, kernel } = facts[field];
    return {
      label: t("fieldHelp.about", { field: label }),
      content: (
        <>
          <p>{t(`fieldHelp.of.${field}`)}</p>
          {byDefault || kernel ? (
            <dl className="mt-1.5 grid grid-cols-[max-content_minmax(0,1fr)] gap-x-3 gap-y-0.5">
              {byDefault ? (
                <>
                  <dt>{t("fieldHelp.byDefault")}</dt>
                  <dd className="font-mono">{byDefault}</dd>
                </>
              ) : null}
              {kernel ? (
                <>
                  <dt>{t("fieldHelp.kernel")}</dt>
                  <dd className="break-words font-mono">{kernel}</dd>
                </>
              ) : null}
            </dl>
          ) : null}
        </>
      ),
    };
  };
}
