export { type Capture, type CapturedPacket, capture } from "./capture.ts";
export { DialError } from "./dial.ts";
export type { EngineName } from "./engines/engine.ts";
export { pickEngine } from "./engines/pick.ts";
export { type ExecExit, type ExecOptions, type ExecResult, LabProcess, type SpawnOptions } from "./exec.ts";
export { type Forward, type ForwardTarget, isAnswering, Lab, type LabOptions } from "./lab.ts";
export { LabCommandError, LabHost } from "./lab-host.ts";
export { stateFolder, toolsFolder, topologyFile } from "./paths.ts";
export { differences, type Snapshot, snapshot } from "./snapshot.ts";
export { missingSystemPackages, systemPackages } from "./system-packages.ts";
export { management, readTopology, Topology, type TopologyInput } from "./topology.ts";
export {
  arpHolders,
  type ByteShare,
  byteShare,
  fetchAnswers,
  type HttpAnswer,
  type Load,
  type LoadFailure,
  type LoadOptions,
  type LoadSummary,
  linkBytes,
  runLoad,
  startHttpd,
  startLoad,
  useRealFrames,
} from "./traffic.ts";
export { until } from "./until.ts";
