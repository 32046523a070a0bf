import type { Api } from "@trigon/api/create-api";

type Sample = readonly [name: string, help: string, value: number];

/** The controller's own figures as Prometheus text (exposition format 0.0.4). */
export function metricsText(figures: ReturnType<Api["figures"]>, streams: number): string {
  const samples: Sample[] = [
    ["trigon_virtual_services", "Virtual services.", figures.services],
    ["trigon_nodes", "Enrolled nodes.", figures.nodes],
    ["trigon_nodes_connected", "Nodes connected to any replica.", figures.connectedNodes],
    ["trigon_agent_streams", "Nodes with an open stream to this replica.", streams],
    ["trigon_fleet_sequence", "Number of the latest configuration write that this replica knows.", figures.sequence],
    ["trigon_database_listening", "Whether this replica hears of writes as they happen.", Number(figures.isListening)],
    ["process_resident_memory_bytes", "Resident memory of this replica.", process.memoryUsage.rss()],
  ];
  return samples.map(([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`).join("");
}
