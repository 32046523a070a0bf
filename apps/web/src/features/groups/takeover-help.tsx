import { takeoverKinds } from "@trigon/model";
import { Card, DataTable, Disclosure } from "@trigon/ui";
import { useTranslations } from "use-intl";

/** Sentences read from the left on a narrow screen, under their header. */
const stacked = "max-sm:flex-col max-sm:gap-0 max-sm:[&>span]:text-left";

/** What a takeover keeps and what it loses, kind by kind. */
export function TakeoverHelp() {
  const t = useTranslations();
  return (
    <Card>
      <Disclosure summary={t("group.help.title")} note={t("group.help.note")}>
        <div className="border-t">
          <DataTable
            caption={t("group.help.title")}
            rows={takeoverKinds}
            rowKey={(kind) => kind}
            columns={[
              {
                id: "kind",
                header: t("group.help.kind"),
                isRowHeader: true,
                cell: (kind) => <span className="font-medium">{t(`group.help.${kind}.name`)}</span>,
              },
              {
                id: "kept",
                header: t("group.help.kept"),
                className: stacked,
                cell: (kind) => <span>{t(`group.help.${kind}.kept`)}</span>,
              },
              {
                id: "lost",
                header: t("group.help.lost"),
                className: stacked,
                cell: (kind) => <span>{t(`group.help.${kind}.lost`)}</span>,
              },
            ]}
          />
        </div>
      </Disclosure>
    </Card>
  );
}
