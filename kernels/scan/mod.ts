/**
 * Elementwise linear recurrences, chunked and parallel over time: the plain scan, Griffin's
 * RG-LRU on top of it, and Mamba's selective scan.
 *
 * @module
 */
export * from "./scan.ts";
export {
  selectiveScan,
  selectiveScanBackward,
  type SelectiveScanBackwardInputs,
  type SelectiveScanGradients,
  type SelectiveScanInputs,
  type SelectiveScanOptions,
  type SelectiveScanOutputs,
} from "./selective_scan.ts";
export {
  selectiveScanStep,
  type SelectiveScanStepInputs,
  type SelectiveScanStepOptions,
} from "./selective_scan_step.ts";
export * from "./rg_lru.ts";
