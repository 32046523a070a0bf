import type { Services } from "@trigon/api";

type Sample = readonly [name: string, help: string, value: number];

/** The controller's own figures as Prometheus text (exposition format 0.0.4). */
export async function metricsText(services: Pick<Services, "overview">, streams: number): Promise<string> {
  const overview = await services.overview.get();
  const samples: Sample[] = [
    ["trigon_virtual_services", "Virtual services.", overview.services.total],
    ["trigon_virtual_services_in_sync", "Virtual services that every node holds as planned.", overview.services.inSync],
    ["trigon_nodes", "Enrolled nodes.", overview.nodes.total],
    ["trigon_nodes_connected", "Nodes connected to any replica.", overview.nodes.connected],
    ["trigon_agent_streams", "Nodes with an open stream to this replica.", streams],
    ["trigon_fleet_sequence", "Number of the latest configuration write.", overview.fleet.sequence],
    ["trigon_fleet_epoch", "Epoch of the database.", overview.fleet.epoch],
    ["trigon_problems", "Problems that the overview shows.", overview.problems.length],
    ["process_resident_memory_bytes", "Resident memory of this replica.", process.memoryUsage.rss()],
  ];
  return samples.map(([name, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} gauge\n${name} ${value}\n`).join("");
}
