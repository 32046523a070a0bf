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
    <svg viewBox="0 0 282 146" role="img" aria-label={labels.description} className={props.className}>
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
          x1="181"
          y1="51"
          x2="217"
          y2="94"
          stroke="var(--t-request)"
          strokeOpacity="0.22"
          strokeWidth="13"
          strokeLinecap="round"
        />
      ) : null}
      <g fill="none" strokeWidth="1.8">
        <g stroke="var(--t-request)">
          <path d={direct ? "M54 102 104 45" : "M46 102 98 45"} markerEnd={marker("request")} />
          <path d={direct ? "M176 45 224 102" : "M182 45 234 102"} markerEnd={marker("request")} />
        </g>
        <g stroke="var(--t-reply)" strokeDasharray="4 3">
          {direct ? (
            <path d="M186 122H80" markerEnd={marker("reply")} />
          ) : (
            <>
              <path d="M214 102 164 46" markerEnd={marker("reply")} />
              <path d="M116 46 64 102" markerEnd={marker("reply")} />
            </>
          )}
        </g>
      </g>
      <Box x={140} y={24} w={136} label={labels.director} note={props.vip} strong />
      <Box x={40} y={122} w={74} label={labels.client} note="CIP" />
      <Box x={234} y={122} w={92} label={labels.realServer} note={direct ? `RIP · VIP@lo` : "RIP"} />
      <g fontSize="11" fill="var(--t-soft)" textAnchor="middle">
        {direct ? (
          <text x="133" y="116" fill="var(--t-reply)">
            {labels.reply}
          </text>
        ) : null}
        {direct ? null : (
          <text x="140" y="84" fill="var(--t-reply)">
            {labels.reply}
          </text>
        )}
        <text x="64" y="70" fill="var(--t-request)" textAnchor="end">
          {labels.request}
        </text>
        {annotation(forwarding, props).map((line, index) => (
          <text key={line} x="216" y={64 + index * 12} textAnchor="start" fontFamily="var(--font-mono)" fontSize="10">
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
      <text x={props.x} y={props.y - 3} fontSize="12" fontWeight="600" fill="var(--t-ink)">
        {props.label}
      </text>
      <text x={props.x} y={props.y + 11.5} fontSize="10" fontFamily="var(--font-mono)" fill="var(--t-soft)">
        {props.note.length > 24 ? `${props.note.slice(0, 23)}…` : props.note}
      </text>
    </g>
  );
}
