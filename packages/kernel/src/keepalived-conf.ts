import { familyOf, type VrrpResource } from "@trigon/model";

/** Files of a keepalived of our own, all in one directory, so that a distribution's own is nobody we know. */
export interface VrrpFiles {
  configuration: string;
  /** What the configuration was made from. */
  groups: string;
  pid: string;
  vrrpPid: string;
  checkersPid: string;
  /** A FIFO in which keepalived says each change of role. */
  notify: string;
  /** Whether the agent lives: seconds of uptime, written by it every second. */
  heartbeat: string;
  heartbeatCheck: string;
  /** What the agent adds to a group's priority or takes from it, one file for each group. */
  trackDirectory: string;
}

export function vrrpFiles(directory: string): VrrpFiles {
  return {
    configuration: `${directory}/keepalived.conf`,
    groups: `${directory}/groups.json`,
    pid: `${directory}/keepalived.pid`,
    vrrpPid: `${directory}/vrrp.pid`,
    checkersPid: `${directory}/checkers.pid`,
    notify: `${directory}/notify`,
    heartbeat: `${directory}/heartbeat`,
    heartbeatCheck: `${directory}/heartbeat-check`,
    trackDirectory: `${directory}/track`,
  };
}

/** What a member loses whose table is not as planned, or whose agent is gone for `heartbeatSeconds`: more than holding the VIPs adds. */
export const unfitWeight = -90;
export const heartbeatSeconds = 15;

/** Uptime, not the clock, which may be set; one program, since it runs every few seconds. */
export const heartbeatCheck = ({ heartbeat }: VrrpFiles): string =>
  `read -r now rest </proc/uptime && read -r beat <${heartbeat} && [ "\${now%.*}" -lt $((beat + ${heartbeatSeconds})) ]\n`;

/**
 * The configuration of keepalived: VRRP only. Every instance has an address for its own use on `lo`, since a VRRP packet names addresses and
 * a receiver refuses one that names others than its own does: VIPs come and go on one member before the other, and so are not named.
 * The agent says by a tracked file who keeps the VIPs, so `nopreempt` is nobody's business here: who is unfit could not be relieved with it.
 */
export function keepalivedConfiguration(groups: readonly VrrpResource[], files: VrrpFiles): string {
  return [
    "# Made by trigon-agent, and made anew with every change.",
    ...block("global_defs", [
      "router_id trigon",
      "vrrp_version 3",
      "script_user root",
      "enable_script_security",
      `notify_fifo ${files.notify}`,
      "vrrp_garp_master_delay 1",
      // Who gives way to a better master says so once more, and that one announces the VIPs again: else neighbours go on sending to the former.
      "vrrp_higher_prio_send_advert true",
      // For where that one advertisement is lost.
      "vrrp_garp_master_refresh 5",
    ]),
    ...block("vrrp_script agent", [
      `script "/bin/sh ${files.heartbeatCheck}"`,
      "interval 5",
      "timeout 4",
      "fall 2",
      "rise 1",
      `weight ${unfitWeight}`,
    ]),
    ...groups.flatMap((group) => [
      ...block(`track_file ${group.groupId}`, [`file ${files.trackDirectory}/${group.groupId}`, "weight 1"]),
      ...block(`vrrp_instance ${group.groupId}`, instance(group)),
    ]),
    "",
  ].join("\n");
}

function instance({
  groupId,
  virtualRouterId,
  priority,
  advertMs,
  source,
  unicastPeers,
  vips,
  ...group
}: VrrpResource): string[] {
  return [
    "state BACKUP",
    `interface ${group.interface}`,
    `virtual_router_id ${virtualRouterId}`,
    `priority ${priority}`,
    `advert_int ${advertMs / 1000}`,
    ...(unicastPeers && unicastPeers.length > 0
      ? [`unicast_src_ip ${source}`, ...block("unicast_peer", unicastPeers)]
      : [`mcast_src_ip ${source}`]),
    ...block("track_file", [`${groupId} weight 1`]),
    ...block("track_script", ["agent"]),
    ...block("virtual_ipaddress", [`${ownAddress(source, virtualRouterId)} dev lo`]),
    ...(vips.length > 0
      ? block(
          "virtual_ipaddress_excluded",
          vips.map(({ address, interface: name }) => `${address}/${familyOf(address) === 4 ? 32 : 128} dev ${name}`),
        )
      : []),
  ];
}

/** Link-local, of the family that the instance speaks. */
function ownAddress(source: string, virtualRouterId: number): string {
  return familyOf(source) === 4 ? `169.254.86.${virtualRouterId}/32` : `fe80::86:${virtualRouterId.toString(16)}/128`;
}

function block(name: string, lines: readonly string[]): string[] {
  return [`${name} {`, ...lines.map((line) => `  ${line}`), "}"];
}
