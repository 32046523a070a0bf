"use client";
import { endpoint, type TopologyLink, type TopologyView } from "@trigon/model";
import { Button, type Column, DataTable } from "@trigon/ui";
import { useState } from "react";
import { useTranslations } from "use-intl";
import { TextLink } from "../../components/text-link.tsx";
import { bitRate, perSecond } from "../../lib/format.ts";
import { isDirect } from "./graph.ts";
import { useReason } from "./reason.ts";
import { StateChip } from "./state-chip.tsx";

const atATime = 200;

/** The picture in words: every way to a real server, one a row. */
export function LinkList({ view }: { view: TopologyView }) {
  const t = useTranslations("topology");
  const common = useTranslations("common");
  const [shown, setShown] = useState(atATime);
  const columns = useColumns(view);
  return (
    <>
      <DataTable
        caption={t("title")}
        columns={columns}
        rows={view.links.slice(0, shown)}
        rowKey={({ serviceId, realServerId }) => `${serviceId}${realServerId}`}
      />
      {view.links.length > shown ? (
        <div className="border-t p-3 text-center">
          <Button onClick={() => setShown(shown + atATime)}>{common("loadMore")}</Button>
        </div>
      ) : null}
    </>
  );
}

function useColumns(view: TopologyView): Column<TopologyLink>[] {
  const t = useTranslations();
  const reason = useReason();
  const services = new Map(view.services.map((service) => [service.id, service]));
  const directors = new Map(view.directors.map((director) => [director.nodeId, director]));
  return [
    {
      id: "service",
      header: t("topology.service"),
      isRowHeader: true,
      cell: ({ serviceId }) => {
        const service = services.get(serviceId);
        return (
          <span className="inline-flex flex-col">
            <TextLink href={`/services/${serviceId}`} className="break-words">
              {service?.name ?? serviceId}
            </TextLink>
            {service ? (
              <span className="whitespace-nowrap font-mono text-soft text-xs">
                {endpoint(service.vip, service.port)}/{service.protocol}
              </span>
            ) : null}
          </span>
        );
      },
    },
    {
      id: "director",
      header: t("topology.director"),
      cell: ({ serviceId }) => {
        const director = directors.get(services.get(serviceId)?.directorNodeId ?? "");
        return director ? <TextLink href={`/nodes/${director.nodeId}`}>{director.name}</TextLink> : t("topology.nobody");
      },
    },
    {
      id: "realServer",
      header: t("topology.realServer"),
      cell: (link) => (
        <span className="inline-flex flex-col max-sm:items-end">
          <span className="whitespace-nowrap font-mono text-[0.8125rem]">{endpoint(link.rip, link.port)}</span>
          {link.nodeId ? (
            <TextLink href={`/nodes/${link.nodeId}`} className="text-xs">
              {link.nodeName}
            </TextLink>
          ) : (
            <span className="text-soft text-xs">{t("topology.unmanaged")}</span>
          )}
        </span>
      ),
    },
    {
      id: "state",
      header: t("topology.stateColumn"),
      cell: (link) => {
        const why = reason(link);
        return (
          <span className="inline-flex flex-col items-start gap-0.5 max-sm:items-end">
            <StateChip state={link.state} />
            {why ? <span className="max-w-[44ch] whitespace-normal text-soft text-xs leading-snug">{why}</span> : null}
          </span>
        );
      },
    },
    {
      id: "connections",
      header: t("topology.connections"),
      numeric: true,
      cell: (link) => perSecond(link.connectionsPerSecond),
    },
    {
      id: "requests",
      header: t("topology.requests"),
      numeric: true,
      cell: (link) => <span className="whitespace-nowrap">{bitRate(link.requestBytesPerSecond)}</span>,
    },
    {
      id: "replies",
      header: t("topology.replies"),
      numeric: true,
      cell: (link) => (
        <span className="inline-flex flex-col items-end">
          <span className="whitespace-nowrap">{bitRate(link.replyBytesPerSecond)}</span>
          <span className="text-soft text-xs">
            {t(`forwarding.${link.forwarding}.short`)},{" "}
            {isDirect(link.forwarding) ? t("topology.straight") : t("topology.throughDirector")}
          </span>
        </span>
      ),
    },
  ];
}
