import { sumAxis } from "../common/sum_axis.ts";
import type { Dispatch, Gpu, Tensor } from "../gpu/mod.ts";
import { SCAN } from "./shaders.ts";

const IN_REGISTERS = SCAN.kernel("selective_scan_in_registers");
const IN_REGISTERS_BACKWARD = SCAN.kernel("selective_scan_in_registers_backward");

/** One SIMD vector of AVX2. */
const WORKGROUP_SIZE = 8;

/** Inputs, shaped as `selectiveScan()` says. */
interface Inputs {
  readonly input: Tensor;
  readonly delta: Tensor;
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly skip?: Tensor;
  readonly gate?: Tensor;
  readonly deltaBias?: Tensor;
  readonly initialState?: Tensor;
}

/** Extents of a selective scan. */
interface Extents {
  readonly batch: number;
  readonly time: number;
  readonly channels: number;
  readonly state: number;
}

function dispatchOf(
  { batch, time, channels, state }: Extents,
  deltaSoftplus: boolean,
): Pick<Dispatch, "constants" | "uniform" | "workgroups"> {
  return {
    constants: { WORKGROUP_SIZE, STATE_FOURS: state / 4, SOFTPLUS: deltaSoftplus },
    uniform: { batch, time, fours: channels / 4 },
    workgroups: Math.ceil(batch * channels / 4 / WORKGROUP_SIZE),
  };
}

/** Writes the output and the final state. */
export function scanInRegisters(
  gpu: Gpu,
  extents: Extents,
  inputs: Inputs,
  deltaSoftplus: boolean,
  write: { readonly output: Tensor; readonly finalState: Tensor },
): void {
  const { input, delta, a, b, c, skip, gate, deltaBias, initialState } = inputs;
  const read = { input, delta, a, b, c, skip, gate, deltaBias, initialState };
  gpu.dispatch(IN_REGISTERS, { ...dispatchOf(extents, deltaSoftplus), read, write });
}

/** The gradients of {@linkcode scanInRegisters}; the states are computed anew. */
export function scanInRegistersBackward(
  gpu: Gpu,
  extents: Extents,
  inputs: Inputs & { readonly outputGradient: Tensor; readonly finalStateGradient?: Tensor },
  deltaSoftplus: boolean,
): {
  inputGradient: Tensor;
  deltaGradient: Tensor;
  aGradient: Tensor;
  bGradient: Tensor;
  cGradient: Tensor;
  skipGradient?: Tensor;
  gateGradient?: Tensor;
  deltaBiasGradient?: Tensor;
  initialStateGradient?: Tensor;
} {
  const { batch, time, channels, state } = extents;
  const { input, delta, a, b, c, skip, gate, deltaBias, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  const inputGradient = gpu.empty(input.shape);
  const deltaGradient = gpu.empty(input.shape);
  const gateGradient = gate && gpu.empty(input.shape);
  const initialStateGradient = initialState && gpu.empty(initialState.shape);
  const fours = channels / 4;
  using history = gpu.empty([batch, fours, time, state, 4]);
  using bParts = gpu.empty([batch * time, fours, state]);
  using cParts = gpu.empty([batch * time, fours, state]);
  using aParts = gpu.empty([batch, channels, state]);
  using skipParts = gpu.empty([batch, channels]);
  using biasParts = gpu.empty([batch, channels]);
  gpu.dispatch(IN_REGISTERS_BACKWARD, {
    ...dispatchOf(extents, deltaSoftplus),
    read: {
      input,
      delta,
      a,
      b,
      c,
      skip,
      gate,
      deltaBias,
      initialState,
      outputGradient,
      finalStateGradient,
    },
    write: {
      history,
      inputGradient,
      deltaGradient,
      gateGradient,
      bParts,
      cParts,
      aParts,
      skipParts,
      biasParts,
      initialStateGradient,
    },
  });
  const ofChannels = (parts: Tensor, shape: readonly number[]): Tensor =>
    sumAxis(gpu, parts, [batch * time, fours, state], shape);
  const ofSequences = (parts: Tensor, shape: readonly number[]): Tensor =>
    sumAxis(gpu, parts, [1, batch, parts.size / batch], shape);
  return {
    inputGradient,
    deltaGradient,
    aGradient: ofSequences(aParts, a.shape),
    bGradient: ofChannels(bParts, b.shape),
    cGradient: ofChannels(cParts, c.shape),
    ...skip && { skipGradient: ofSequences(skipParts, skip.shape) },
    ...deltaBias && { deltaBiasGradient: ofSequences(biasParts, deltaBias.shape) },
    ...gateGradient && { gateGradient },
    ...initialStateGradient && { initialStateGradient },
  };
}
