import { Card, DataTable, Disclosure } from "@trigon/ui";
import { useTranslations } from "use-intl";

const kinds = ["tcp", "fullNat", "persistence", "udp", "onePacket", "late"] as const;

/** What a takeover keeps and what it loses, kind by kind. */
export function TakeoverHelp() {
  const t = useTranslations();
  return (
    <Card>
      <Disclosure summary={t("group.help.title")} note={t("group.help.note")}>
        <div className="border-t">
          <DataTable
            caption={t("group.help.title")}
            rows={kinds}
            rowKey={(kind) => kind}
            columns={[
              {
                id: "kind",
                header: t("group.help.kind"),
                isRowHeader: true,
                cell: (kind) => <span className="font-medium">{t(`group.help.${kind}.name`)}</span>,
              },
              { id: "kept", header: t("group.help.kept"), cell: (kind) => <span>{t(`group.help.${kind}.kept`)}</span> },
              { id: "lost", header: t("group.help.lost"), cell: (kind) => <span>{t(`group.help.${kind}.lost`)}</span> },
            ]}
          />
        </div>
      </Disclosure>
    </Card>
  );
}
