"use client";
import type { Forwarding, TopologyView } from "@trigon/model";
import { cn } from "@trigon/ui";
import { Globe, Network, Server, Waypoints } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import { useTranslations } from "use-intl";
import { bitRate } from "../../lib/format.ts";
import { edgesAbout, type Graph, type GraphNode, type Layer, layers } from "./graph.ts";
import { type DrawnEdge, dotPitch, type Picture as Layout, layout } from "./layout.ts";
import { stateLooks } from "./state-chip.tsx";

/** Dashes tell forwardings apart; the tube around a tunnel is drawn beneath its line. */
const dashes: Record<Forwarding, string | undefined> = { dr: undefined, tun: undefined, nat: "14 3", fullnat: "14 3 3 3" };
const replyDash = "5 5";
/** More moving lines than these only make noise, and heat. */
const movingMost = 80;
const icons: Record<Layer, typeof Globe> = { client: Globe, service: Network, director: Waypoints, server: Server };

/** Clients, services, directors and real servers in columns, with the packets' ways between them. */
export function Picture(props: { view: TopologyView; graph: Graph; selected: string | null; onSelect: (key: string) => void }) {
  const { graph, selected } = props;
  const t = useTranslations("topology");
  const frame = useRef<HTMLDivElement>(null);
  const [room, setRoom] = useState(0);
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const observer = new ResizeObserver(([entry]) => setRoom(Math.floor(entry?.contentRect.width ?? 0)));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const drawn = useMemo(() => layout(graph, room), [graph, room]);
  const [hovered, setHovered] = useState<string | null>(null);
  const looked = hovered ?? selected;
  const about = useMemo(() => (looked === null ? null : edgesAbout(graph, looked)), [graph, looked]);
  return (
    <div ref={frame} className="overflow-x-auto">
      {room > 0 ? (
        <div className="relative mx-auto" style={{ width: drawn.width, height: drawn.height }}>
          <Edges drawn={drawn} about={about} />
          {layers.map((layer) => {
            const first = drawn.columns[layer][0];
            const box = first && drawn.boxes.get(first.key);
            return box ? (
              <p
                key={layer}
                aria-hidden
                className="absolute top-1 truncate text-center text-soft text-xs"
                style={{ left: box.x, width: box.w }}
              >
                {t(`columns.${layer}`)}
              </p>
            ) : null;
          })}
          <Nodes drawn={drawn} selected={selected} onSelect={props.onSelect} onHover={setHovered} />
        </div>
      ) : null}
    </div>
  );
}

function Nodes(props: {
  drawn: Layout;
  selected: string | null;
  onSelect: (key: string) => void;
  onHover: (key: string | null) => void;
}) {
  const { drawn, selected } = props;
  const t = useTranslations("topology");
  const buttons = useRef(new Map<string, HTMLButtonElement>());
  const [current, setCurrent] = useState<string | null>(null);
  const stop = current !== null && drawn.boxes.has(current) ? current : "client";
  function onKeyDown(event: KeyboardEvent, node: GraphNode) {
    const next = neighbour(drawn, node, event.key);
    if (!next) return;
    event.preventDefault();
    setCurrent(next);
    buttons.current.get(next)?.focus();
  }
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for form controls
    <div role="group" aria-label={t("label")}>
      {layers.flatMap((layer) =>
        drawn.columns[layer].map((node) => {
          const box = drawn.boxes.get(node.key)!;
          const words = wordsOf(t, node);
          const { icon: StateIcon, ink } = stateLooks[node.state];
          const Icon = icons[layer];
          return (
            <button
              key={node.key}
              ref={(element) => {
                if (element) buttons.current.set(node.key, element);
                else buttons.current.delete(node.key);
              }}
              type="button"
              data-node={node.key}
              tabIndex={node.key === stop ? 0 : -1}
              aria-pressed={node.key === selected}
              className={cn(
                "absolute flex flex-col overflow-hidden rounded-lg border bg-surface px-2.5 py-1.5 text-left shadow-low transition-colors hover:border-accent",
                node.key === selected && "border-accent bg-accent-soft",
                (node.state === "idle" || node.state === "unknown") && "border-dashed bg-sunken",
                layer === "director" || layer === "client" ? "justify-center" : "",
              )}
              style={{ left: box.x, top: box.y, width: box.w, height: box.h }}
              onClick={() => {
                setCurrent(node.key);
                props.onSelect(node.key);
              }}
              onFocus={() => setCurrent(node.key)}
              onKeyDown={(event) => onKeyDown(event, node)}
              onMouseEnter={() => props.onHover(node.key)}
              onMouseLeave={() => props.onHover(null)}
            >
              <span className="flex items-center gap-1.5">
                <Icon aria-hidden className="size-3.5 shrink-0 text-soft" />
                <span className="min-w-0 flex-1 truncate font-medium text-[0.8125rem] leading-4">{words.label}</span>
                {layer === "client" ? null : <StateIcon aria-hidden className={cn("size-3.5 shrink-0", ink)} />}
              </span>
              {words.note ? <span className="sr-only">, </span> : null}
              {words.note ? (
                <span className="truncate font-mono text-[0.6875rem] text-soft leading-[0.95rem]">{words.note}</span>
              ) : null}
              <span className="sr-only">: {t(`state.${node.state}`)}</span>
              {node.members.length > 0 ? <Dots node={node} /> : null}
            </button>
          );
        }),
      )}
    </div>
  );
}

/** A dot for each that a collapsed node stands for. */
function Dots({ node }: { node: GraphNode }) {
  return (
    <span aria-hidden className="mt-1 flex flex-wrap content-start" style={{ gap: dotPitch - 6 }}>
      {node.members.map(({ key, state }) => (
        <span key={key} className={cn("size-1.5 rounded-[2px]", stateLooks[state].dot)} />
      ))}
    </span>
  );
}

type Translate = ReturnType<typeof useTranslations<"topology">>;

function wordsOf(t: Translate, node: GraphNode): { label: string; note: string } {
  if (node.layer === "client") return { label: t("clients"), note: "" };
  if (node.layer === "director" && node.label === "") return { label: t("nobody"), note: "" };
  if (node.members.length === 0) return node;
  const count = node.members.length;
  return {
    label: node.layer === "server" ? `${t("members", { count })}${node.label ? ` · ${node.label}` : ""}` : node.label,
    note: node.note || (node.layer === "service" ? t("memberServices", { count }) : ""),
  };
}

/** Where an arrow key leads: along the column, or to the nearest in the column beside. */
function neighbour(drawn: Layout, node: GraphNode, key: string): string | undefined {
  const column = drawn.columns[node.layer];
  const at = column.findIndex((one) => one.key === node.key);
  const middle = (one: string) => drawn.boxes.get(one)!.y + drawn.boxes.get(one)!.h / 2;
  const beside = (step: 1 | -1) => {
    for (let index = layers.indexOf(node.layer) + step; layers[index]; index += step) {
      const others = drawn.columns[layers[index]!];
      const distance = (one: GraphNode) => Math.abs(middle(one.key) - middle(node.key));
      if (others.length > 0) return [...others].sort((a, b) => distance(a) - distance(b))[0]!.key;
    }
    return undefined;
  };
  switch (key) {
    case "ArrowDown":
      return column[at + 1]?.key;
    case "ArrowUp":
      return column[at - 1]?.key;
    case "ArrowRight":
      return beside(1);
    case "ArrowLeft":
      return beside(-1);
    case "Home":
      return column[0]?.key;
    case "End":
      return column.at(-1)?.key;
    default:
      return undefined;
  }
}

function Edges({ drawn, about }: { drawn: Layout; about: ReadonlySet<string> | null }) {
  const t = useTranslations("topology");
  const id = useId();
  const { trunk } = drawn;
  const moves = drawn.edges.length <= movingMost;
  const isTrunkDim = about !== null && !drawn.edges.some(({ kind, key }) => kind === "direct" && about.has(key));
  const carries = drawn.edges.some(({ kind, state }) => kind === "direct" && (state === "serving" || state === "partly"));
  // The plain ones first, so that what is looked at lies on top.
  const sorted = about ? [...drawn.edges].sort((a, b) => Number(about.has(a.key)) - Number(about.has(b.key))) : drawn.edges;
  return (
    <svg aria-hidden width={drawn.width} height={drawn.height} className="absolute inset-0" fill="none">
      <defs>
        {(["request", "reply", "grey"] as const).map((tone) => (
          <marker
            key={tone}
            id={`${id}-${tone}`}
            viewBox="0 0 8 8"
            refX="6"
            refY="4"
            markerWidth="8"
            markerHeight="8"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0.5 0.8 7.5 4 0.5 7.2Z" fill={colours[tone]} />
          </marker>
        ))}
      </defs>
      {trunk ? (
        <g opacity={isTrunkDim ? 0.25 : 1}>
          <path
            d={trunk.path}
            stroke={carries ? colours.reply : colours.grey}
            strokeWidth={trunk.width}
            strokeDasharray={replyDash}
            strokeOpacity="0.85"
            className={carries && moves ? "topology-flow" : undefined}
            markerEnd={`url(#${id}-${carries ? "reply" : "grey"})`}
          />
          <text
            x={trunk.label.x}
            y={trunk.label.y - trunk.width / 2}
            textAnchor="middle"
            fontSize="12"
            fill={carries ? colours.reply : "var(--t-soft)"}
          >
            {t("past")}
            {trunk.bytesPerSecond === null ? "" : ` · ${bitRate(trunk.bytesPerSecond)}`}
          </text>
        </g>
      ) : null}
      {sorted.map((edge) => (
        <Edge key={edge.key} edge={edge} id={id} isDim={about !== null && !about.has(edge.key)} moves={moves} />
      ))}
    </svg>
  );
}

const colours = { request: "var(--t-request)", reply: "var(--t-reply)", grey: "var(--t-line-strong)" } as const;

function Edge({ edge, id, isDim, moves }: { edge: DrawnEdge; id: string; isDim: boolean; moves: boolean }) {
  const carries = edge.state === "serving" || edge.state === "partly";
  const tone = !carries ? "grey" : edge.kind === "request" ? "request" : "reply";
  const isTube = edge.kind === "request" && edge.forwarding === "tun" && edge.to.match(/^(server|pool|net:server):/);
  const dash = edge.kind === "request" ? dashes[edge.forwarding] : replyDash;
  const flows = moves && carries && edge.kind !== "request" && (edge.bytesPerSecond ?? 0) > 0;
  return (
    <g opacity={isDim ? 0.15 : 1}>
      {isTube ? <path d={edge.path} stroke={colours[tone]} strokeOpacity="0.2" strokeWidth={edge.width + 8} /> : null}
      <path
        d={edge.path}
        stroke={colours[tone]}
        strokeWidth={carries ? edge.width : 1.4}
        strokeDasharray={carries ? dash : "1.5 4"}
        className={flows ? "topology-flow" : undefined}
        markerEnd={edge.kind === "direct" ? undefined : `url(#${id}-${tone})`}
      />
    </g>
  );
}

/** What the lines mean. */
export function Legend() {
  const t = useTranslations();
  const rows: { dash?: string; colour: string; tube?: boolean; label: string }[] = [
    { colour: colours.request, label: `${t("topology.request")} · ${t("forwarding.dr.short")}` },
    { colour: colours.request, tube: true, label: t("forwarding.tun.short") },
    { colour: colours.request, dash: dashes.nat, label: t("forwarding.nat.short") },
    { colour: colours.request, dash: dashes.fullnat, label: t("forwarding.fullnat.short") },
    { colour: colours.reply, dash: replyDash, label: t("picture.reply") },
    { colour: colours.grey, dash: "1.5 4", label: t("topology.brokenWay") },
  ];
  return (
    <ul aria-label={t("topology.legend")} className="flex flex-wrap gap-x-4 gap-y-1 border-t px-4 py-2.5 text-soft text-xs">
      {rows.map((row) => (
        <li key={row.label} className="flex items-center gap-1.5">
          <svg aria-hidden width="36" height="12" fill="none">
            {row.tube ? <path d="M1 6H35" stroke={row.colour} strokeOpacity="0.2" strokeWidth="10" /> : null}
            <path d="M1 6H35" stroke={row.colour} strokeWidth="2" strokeDasharray={row.dash} />
          </svg>
          {row.label}
        </li>
      ))}
    </ul>
  );
}
