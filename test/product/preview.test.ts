import { until } from "@trigon/lab";
import type { ChangePreview, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { describe, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { isOfProbes } from "./oracles.ts";
import { deleteService, ifMatch, patchService, useWorld } from "./use-world.ts";

/** The lines of `ipvsadm -Sn` by what they are about, after these commands were carried out. */
function replayed(table: readonly string[], commands: readonly string[]): string[] {
  const subject = (line: string) => /^-\S (-\S \S+)(?: -r (\S+))?/.exec(line)!.slice(1).join(" ").trim();
  const lines = new Map(table.map((line) => [subject(line), line]));
  for (const command of commands) {
    const line = command.replace(/^ipvsadm /, "");
    const name = subject(line);
    if (line.startsWith("-D"))
      for (const key of [...lines.keys()]) if (key === name || key.startsWith(`${name} `)) lines.delete(key);
    if (line.startsWith("-d")) lines.delete(name);
    if (/^-[AaEe]/.test(line)) lines.set(name, line.replace(/^-E/, "-A").replace(/^-e/, "-a"));
  }
  return [...lines.values()].sort();
}

describe("what a preview says is what ipvsadm shows afterwards", { timeout: 300_000 }, () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  /** IPIP is what `ipvsadm -i` means when no type is named. */
  const table = async () =>
    (await host("dir1").sh("ipvsadm -Sn"))
      .split("\n")
      .filter((line) => line.startsWith("-") && !isOfProbes(line))
      .map((line) => line.replace(" --tun-type ipip", ""))
      .sort();
  const linesOf = (preview: ChangePreview, name: string, tool: string) =>
    (preview.nodes.find(({ nodeName }) => nodeName === name)?.steps ?? []).flatMap(({ commands }) =>
      commands.filter((command) => command.startsWith(`${tool} `) && !isOfProbes(command)),
    );
  const settles = (expected: readonly string[]) =>
    until(`ipvsadm -Sn to be\n${expected.join("\n")}`, async () => (await table()).join("\n") === expected.join("\n"), {
      deadlineMs: 60_000,
    });
  const rehearse = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    world.api.call<ChangePreview>(method, `${path}?dryRun=true`, body, headers);

  for (const input of demoServices) {
    test(`${input.name}: created, edited and deleted as previewed, and a preview itself changes nothing`, async () => {
      const empty = await table();
      const creation = await rehearse("POST", "/virtual-services", input);
      const wanted = replayed(empty, linesOf(creation, "dir1", "ipvsadm"));
      expect(wanted).toHaveLength(empty.length + 1 + input.realServers!.length);
      expect(await table()).toEqual(empty);
      const service = await createService(world.api, input);
      await settles(wanted);
      await expectAddresses(creation, input.vip);

      const realServers = service.realServers.slice(0, -1).map((server, at) => ({ ...server, weight: 3 + at }));
      const edit: Partial<VirtualServiceInput> = { scheduler: "wlc", persistence: { timeoutSeconds: 120 }, realServers };
      const path = `/virtual-services/${service.id}`;
      const change = await rehearse("PATCH", path, edit, await ifMatch(world.api, path));
      const edited = replayed(wanted, linesOf(change, "dir1", "ipvsadm"));
      expect(edited).not.toEqual(wanted);
      await patchService(world.api, service.id, edit);
      await settles(edited);

      const deletion = await rehearse("DELETE", path, undefined, await ifMatch(world.api, path));
      expect(replayed(edited, linesOf(deletion, "dir1", "ipvsadm"))).toEqual(empty);
      expect((await world.api.call<VirtualServiceView>("GET", path)).id).toBe(service.id);
      await deleteService(world.api, service.id);
      await settles(empty);
    });
  }

  /** Where the preview binds the VIP, `ip` finds it. */
  async function expectAddresses(preview: ChangePreview, vip: string): Promise<void> {
    for (const { nodeName } of preview.nodes) {
      for (const line of linesOf(preview, nodeName, "ip").filter((command) => command.startsWith(`ip addr add ${vip}/`))) {
        const device = line.split(" dev ")[1]!;
        await until(`${nodeName} to hold ${vip} on ${device}`, async () =>
          (await host(nodeName).sh(`ip -j addr show dev ${device}`)).includes(`"${vip}"`),
        );
      }
    }
  }
});
