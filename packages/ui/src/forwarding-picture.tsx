import type { Forwarding } from "@trigon/model";
import { useId } from "react";

export interface PictureLabels {
  client: string;
  director: string;
  realServer: string;
  request: string;
  reply: string;
  /** One sentence for those who do not see the picture. */
  description: string;
}

/**
 * The way of a packet in one forwarding: client left, director on top, real server right. The request is a solid line, the reply a
 * dashed one. In DR and Tunnel the reply runs along the base and passes the director by; in NAT and full NAT it goes back over it.
 */
export function ForwardingPicture(props: {
  forwarding: Forwarding;
  labels: PictureLabels;
  /** The service's own VIP; a placeholder word until it is typed. */
  vip: string;
  /** What the director wraps a packet in, for Tunnel. */
  encapsulation?: string;
  /** Whose address the real server sees as the source, for full NAT. */
  snatSource?: string;
  className?: string;
}) {
  const id = useId();
  const { forwarding, labels } = props;
  const direct = forwarding === "dr" || forwarding === "tun";
  const marker = (tone: string) => `url(#${id}-${tone})`;
  return (
    <svg viewBox="0 0 280 150" role="img" aria-label={labels.description} className={props.className}>
      <defs>
        {(["request", "reply"] as const).map((tone) => (
          <marker
            key={tone}
            id={`${id}-${tone}`}
            viewBox="0 0 8 8"
            refX="6.5"
            refY="4"
            markerWidth="6"
            markerHeight="6"
            orient="auto"
          >
            <path d="M0.5 0.8 7.5 4 0.5 7.2Z" fill={`var(--t-${tone})`} />
          </marker>
        ))}
      </defs>
      {forwarding === "tun" ? (
        <line
          x1="176"
          y1="53"
          x2="215"
          y2="92"
          stroke="var(--t-request)"
          strokeOpacity="0.22"
          strokeWidth="13"
          strokeLinecap="round"
        />
      ) : null}
      <g fill="none" strokeWidth="1.8">
        <g stroke="var(--t-request)">
          <path d={direct ? "M62 96 108 51" : "M58 93 104 48"} markerEnd={marker("request")} />
          <path d={direct ? "M170 48 218 96" : "M176 48 222 93"} markerEnd={marker("request")} />
        </g>
        <g stroke="var(--t-reply)" strokeDasharray="4 3">
          {direct ? (
            <path d="M204 116H76" markerEnd={marker("reply")} />
          ) : (
            <>
              <path d="M208 97 164 54" markerEnd={marker("reply")} />
              <path d="M116 54 73 97" markerEnd={marker("reply")} />
            </>
          )}
        </g>
      </g>
      <Box x={140} y={28} w={124} label={labels.director} note={props.vip} strong />
      <Box x={40} y={116} w={68} label={labels.client} note="CIP" />
      <Box x={240} y={116} w={72} label={labels.realServer} note={direct ? `RIP · VIP@lo` : "RIP"} />
      <g fontSize="9" fill="var(--t-soft)" textAnchor="middle">
        {direct ? (
          <text x="140" y="109" fill="var(--t-reply)">
            {labels.reply}
          </text>
        ) : null}
        {direct ? null : (
          <text x="140" y="86" fill="var(--t-reply)">
            {labels.reply}
          </text>
        )}
        <text x="66" y="66" fill="var(--t-request)" textAnchor="end">
          {labels.request}
        </text>
        {annotation(forwarding, props).map((line, index) => (
          <text key={line} x="206" y={58 + index * 11} textAnchor="start" fontFamily="var(--font-mono)" fontSize="8.5">
            {line}
          </text>
        ))}
      </g>
    </svg>
  );
}

/** What the director does to the packet, in the field's shorthand. */
function annotation(forwarding: Forwarding, props: { encapsulation?: string; snatSource?: string }): string[] {
  switch (forwarding) {
    case "dr":
      return ["MAC → RS"];
    case "tun":
      return [(props.encapsulation ?? "ipip").toUpperCase()];
    case "nat":
      return ["VIP → RIP"];
    case "fullnat":
      return ["VIP → RIP", `CIP → ${(props.snatSource ?? "vip").toUpperCase()}`];
  }
}

function Box(props: { x: number; y: number; w: number; label: string; note: string; strong?: boolean }) {
  return (
    <g textAnchor="middle">
      <rect
        x={props.x - props.w / 2}
        y={props.y - 19}
        width={props.w}
        height="38"
        rx="7"
        fill={props.strong ? "var(--t-accent-soft)" : "var(--t-sunken)"}
        stroke={props.strong ? "var(--t-accent)" : "var(--t-line-strong)"}
      />
      <text x={props.x} y={props.y - 3} fontSize="10.5" fontWeight="600" fill="var(--t-ink)">
        {props.label}
      </text>
      <text x={props.x} y={props.y + 10.5} fontSize="9" fontFamily="var(--font-mono)" fill="var(--t-soft)">
        {props.note.length > 24 ? `${props.note.slice(0, 23)}…` : props.note}
      </text>
    </g>
  );
}
