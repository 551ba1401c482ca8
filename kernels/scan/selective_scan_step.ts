import {
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  results,
} from "../gpu/mod.ts";
import type { Tensor } from "../gpu/mod.ts";
import { WORKGROUP_SIZE, workgroupsFor } from "./grid.ts";
import {
  ARRAYS,
  checkInputs,
  gateOutput,
  type SelectiveScanInputs,
  type SelectiveScanOutputs,
  stepLengths,
} from "./selective_scan.ts";
import { SCAN } from "./shaders.ts";

const STEP = SCAN.kernel("selective_scan_step");
/** Tensors that every step has. */
const LEAST_BINDINGS = 7;

/** What {@linkcode selectiveScanStep} takes: one step of each sequence, and the state before it. */
export interface SelectiveScanStepInputs extends Omit<SelectiveScanInputs, "initialState"> {
  /** The state before the step: `[batch, channels, state]`. */
  readonly state: Tensor;
}

/** Options of {@linkcode selectiveScanStep}. */
export interface SelectiveScanStepOptions {
  /** Whether Δ goes through a softplus. @default false */
  readonly deltaSoftplus?: boolean;
  /** Whether `a` is given as log(−A), as models keep it. @default false */
  readonly logRates?: boolean;
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/**
 * One step of {@linkcode selectiveScan}: its output is `[batch, 1, channels]`. In one dispatch, or in
 * three where a device has too few bindings.
 *
 * @throws {RangeError} where a shape does not fit, or `input` has more than one step.
 */
export function selectiveScanStep(
  gpu: Gpu,
  inputs: SelectiveScanStepInputs,
  options: SelectiveScanStepOptions = {},
): SelectiveScanOutputs {
  const op = "selectiveScanStep";
  checkNames(op, inputs, [...ARRAYS, "state"]);
  checkOptions(op, options, { deltaSoftplus: flag, logRates: flag, inPlace: flag });
  const { input, delta, a, b, c, skip, gate, deltaBias, state } = inputs;
  checkRank(op, "state", state, ["batch", "channels", "state"]);
  const [batch, channels, states] = state.shape;
  checkTensor(op, "input", input, [batch, 1, channels]);
  checkInputs(op, { ...inputs, initialState: state });
  const { deltaSoftplus = false, logRates = false, inPlace = false } = options;
  const output = gpu.empty(input.shape);
  const finalState = inPlace ? state.reshape(state.shape) : gpu.empty(state.shape);
  const walk = (
    delta: Tensor,
    SOFTPLUS: boolean,
    more: Pick<SelectiveScanInputs, "skip" | "gate" | "deltaBias">,
  ): void =>
    gpu.dispatch(STEP, {
      constants: { WORKGROUP_SIZE, SOFTPLUS, LOG_RATES: logRates },
      uniform: { batch, channels, states },
      read: { input, delta, a, b, c, ...more, state: inPlace ? undefined : state },
      write: { output, finalState },
      workgroups: workgroupsFor(batch * channels),
    });
  const optional = [skip, gate, deltaBias, inPlace ? undefined : state]
    .filter((tensor) => tensor !== undefined);
  if (LEAST_BINDINGS + optional.length <= gpu.device.limits.maxStorageBuffersPerShaderStage) {
    walk(delta, deltaSoftplus, { skip, gate, deltaBias });
    return results({ output, finalState });
  }
  using lengths = stepLengths(inputs, options, gpu);
  walk(lengths, false, {});
  if (skip || gate) gateOutput(output, gpu, { input, skip, gate });
  return results({ output, finalState });
}
