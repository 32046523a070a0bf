"use client";
import { endpoint, type TopologyLink, type TopologyView } from "@trigon/model";
import { Button, Facts } from "@trigon/ui";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { useTranslations } from "use-intl";
import { TextLink } from "../../components/text-link.tsx";
import { bitRate, perSecond } from "../../lib/format.ts";
import type { GraphNode } from "./graph.ts";
import { useReason } from "./reason.ts";
import { StateChip, stateLooks } from "./state-chip.tsx";

interface Props {
  view: TopologyView;
  node: GraphNode;
  onSelect: (key: string) => void;
  onOpen: (key: string) => void;
  onClose: () => void;
}

/** What there is to know about the chosen node of the picture, with its links. */
export function Details(props: Props) {
  const { node } = props;
  const t = useTranslations("topology");
  return (
    <aside
      aria-label={t("details")}
      className="border-t bg-surface p-4 xl:w-80 xl:shrink-0 xl:border-t-0 xl:border-l"
      onKeyDown={(event) => {
        if (event.key === "Escape") props.onClose();
      }}
    >
      <div className="mb-3 flex items-start justify-between gap-3">
        <div className="min-w-0">
          <p className="text-soft text-xs">{t(`columns.${node.layer}`)}</p>
          <h2 className="break-words font-semibold text-[0.9375rem]" tabIndex={-1} id="topology-details">
            {node.layer === "client"
              ? t("clients")
              : node.label || (node.layer === "director" ? t("nobody") : t("members", { count: node.members.length }))}
          </h2>
          {node.note ? <p className="font-mono text-soft text-xs">{node.note}</p> : null}
        </div>
        <Button variant="ghost" size="iconSm" aria-label={t("close")} onClick={props.onClose}>
          <X aria-hidden />
        </Button>
      </div>
      <div className="space-y-4">
        <StateChip state={node.state} />
        {node.members.length > 0 ? <Cluster {...props} /> : <Single {...props} />}
      </div>
    </aside>
  );
}

function Single(props: Props) {
  const { view, node } = props;
  const t = useTranslations();
  const id = node.key.slice(node.key.indexOf(":") + 1);
  switch (node.layer) {
    case "client":
      return <Figures links={view.links} />;
    case "service": {
      const service = view.services.find((one) => one.id === id);
      if (!service) return null;
      const links = view.links.filter((link) => link.serviceId === id);
      return (
        <>
          <p>{t(`forwarding.${service.forwarding}.name`)}</p>
          <Figures links={links} />
          <Ways links={links} title={t("topology.serversHere")} nameOf={(link) => endpoint(link.rip, link.port)} {...props} />
          <TextLink href={`/services/${id}`}>{t("topology.openService")}</TextLink>
        </>
      );
    }
    case "director": {
      const director = view.directors.find(({ nodeId }) => nodeId === id);
      const services = view.services.filter((service) => node.serviceIds.includes(service.id));
      const own = new Set(services.map((service) => service.id));
      return (
        <>
          {director ? (
            <p>
              {director.groupName} ·{" "}
              {!director.isConnected ? t("topology.away") : director.isActive ? t("topology.holds") : t("topology.standby")}
            </p>
          ) : null}
          <Figures links={view.links.filter(({ serviceId }) => own.has(serviceId))} />
          <Names
            title={t("topology.servicesHere")}
            items={services.map((one) => ({ key: `service:${one.id}`, label: one.name }))}
            {...props}
          />
          {director ? <TextLink href={`/nodes/${id}`}>{t("topology.openNode")}</TextLink> : null}
        </>
      );
    }
    case "server": {
      const links = view.links.filter(({ rip }) => rip === id);
      const names = new Map(view.services.map((service) => [service.id, service.name]));
      const nodeId = links[0]?.nodeId;
      return (
        <>
          <Figures links={links} />
          <Ways
            links={links}
            title={t("topology.servicesHere")}
            nameOf={(link) => names.get(link.serviceId) ?? link.serviceId}
            {...props}
          />
          {nodeId ? (
            <TextLink href={`/nodes/${nodeId}`}>{t("topology.openNode")}</TextLink>
          ) : (
            <p className="text-soft">{t("topology.unmanaged")}</p>
          )}
        </>
      );
    }
  }
}

function Cluster(props: Props) {
  const { node } = props;
  const t = useTranslations("topology");
  const title = node.layer === "server" ? t("serversHere") : t("servicesHere");
  return (
    <>
      <Button size="sm" onClick={() => props.onOpen(node.key)}>
        {t("open")}
      </Button>
      <div>
        <p className="mb-1 text-soft text-xs">{title}</p>
        <ul className="max-h-80 space-y-0.5 overflow-y-auto">
          {node.members.map(({ key, label, state }) => (
            <li key={key} className="flex items-center gap-2">
              <StateMark state={state} /> <span className="truncate font-mono text-[0.8125rem]">{label}</span>
              <span className="sr-only">{t(`state.${state}`)}</span>
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

function StateMark({ state }: { state: GraphNode["state"] }) {
  const { icon: Icon, ink } = stateLooks[state];
  return <Icon aria-hidden className={`size-3.5 shrink-0 ${ink}`} />;
}

function Figures({ links }: { links: readonly TopologyLink[] }) {
  const t = useTranslations("topology");
  const rows: { name: ReactNode; value: ReactNode }[] = [
    { name: t("connections"), value: perSecond(sum(links, "connectionsPerSecond")) },
    { name: t("active"), value: links.reduce((total, { active }) => total + active, 0) },
    { name: t("requests"), value: bitRate(sum(links, "requestBytesPerSecond")) },
    { name: t("replies"), value: bitRate(sum(links, "replyBytesPerSecond")) },
  ];
  return <Facts rows={rows} />;
}

function sum(links: readonly TopologyLink[], field: "connectionsPerSecond" | "requestBytesPerSecond" | "replyBytesPerSecond") {
  const known = links.map((link) => link[field]).filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
}

/** The ways of a service or a real server, each with what stands in it. */
function Ways(props: Props & { links: readonly TopologyLink[]; title: string; nameOf: (link: TopologyLink) => string }) {
  const reason = useReason();
  const t = useTranslations();
  return (
    <div>
      <p className="mb-1 text-soft text-xs">{props.title}</p>
      <ul className="max-h-96 space-y-1.5 overflow-y-auto">
        {props.links.map((link) => (
          <li key={`${link.serviceId}${link.realServerId}`} className="flex items-start gap-2">
            <span className="mt-0.5">
              <StateMark state={link.state} />
            </span>
            <span className="min-w-0">
              <button
                type="button"
                className="rounded text-left font-medium text-accent hover:underline"
                onClick={() => props.onSelect(props.node.layer === "server" ? `service:${link.serviceId}` : `server:${link.rip}`)}
              >
                {props.nameOf(link)}
              </button>{" "}
              <span className="text-soft text-xs">
                {t(`forwarding.${link.forwarding}.short`)} · {bitRate(link.requestBytesPerSecond)}
              </span>
              <span className="block text-soft text-xs">{reason(link) ?? t(`topology.state.${link.state}`)}</span>
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Names(props: Props & { title: string; items: { key: string; label: string }[] }) {
  return (
    <div>
      <p className="mb-1 text-soft text-xs">{props.title}</p>
      <ul className="max-h-80 space-y-0.5 overflow-y-auto">
        {props.items.map(({ key, label }) => (
          <li key={key}>
            <button
              type="button"
              className="rounded text-left font-medium text-accent hover:underline"
              onClick={() => props.onSelect(key)}
            >
              {label}
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
