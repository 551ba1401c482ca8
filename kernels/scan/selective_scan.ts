import { sumRows } from "../common/sum_axis.ts";
import {
  anything,
  checkNames,
  checkOptions,
  checkRank,
  checkTensor,
  flag,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import {
  copyOf,
  feasibleChunkSize,
  SELECTIVE_SCAN_BACKWARD,
  selectiveTiling,
  WORKGROUP_SIZE,
  workgroupsFor,
} from "./grid.ts";
import { scanInRegisters, scanInRegistersBackward } from "./selective_scan_in_registers.ts";
import { SCAN } from "./shaders.ts";
import { softplus } from "./softplus.ts";
import type { ScanOptions } from "./scan.ts";

const CHUNK = SCAN.kernel("selective_scan_chunk");
const CARRY = SCAN.kernel("selective_scan_carry");
const OUTPUT = SCAN.kernel("selective_scan_output");
const GATE = SCAN.kernel("selective_scan_gate");
const PREPARE = SCAN.kernel("selective_scan_prepare");
const BACKWARD_CHUNK = SCAN.kernel("selective_scan_backward_chunk");
const BACKWARD = SCAN.kernel("selective_scan_backward");
const BACKWARD_SHARED = SCAN.kernel("selective_scan_backward_shared");
const SHARED_SUM = SCAN.kernel("selective_scan_shared_sum");
const FINISH = SCAN.kernel("selective_scan_finish");
const GATE_BACKWARD = SCAN.kernel("selective_scan_gate_backward");
const PARAMETERS = SCAN.kernel("selective_scan_parameters");

/** States that an invocation carries in registers; more take as many rounds. */
const STATES = 16;
/** Steps per chunk of the backward pass, `CHUNK` in selective_scan_backward.wgsl. */
const BACKWARD_STEPS = 16;
/** Channels that one invocation sums for the gradients of b and c. */
const SHARED_CHANNELS = 32;
/** Rows that one invocation sums for the gradients of skip and delta bias. */
const BLOCK = 64;

/** Names of inputs besides the state. */
export const ARRAYS = ["input", "delta", "a", "b", "c", "skip", "gate", "deltaBias"];
/** Names of inputs; an op and its gradients may be handed the same. */
const INPUTS = [...ARRAYS, "initialState", "outputGradient", "finalStateGradient"];

/** What {@linkcode selectiveScan} takes. */
export interface SelectiveScanInputs {
  /** u: `[batch, time, channels]`. */
  readonly input: Tensor;
  /** Δ, the length of each step; before its softplus where `deltaSoftplus`: `[batch, time, channels]`. */
  readonly delta: Tensor;
  /** A, how fast each state forgets, negative: `[channels, state]`. */
  readonly a: Tensor;
  /** B, where the input goes: `[batch, time, state]`. */
  readonly b: Tensor;
  /** C, where the output comes from: `[batch, time, state]`. */
  readonly c: Tensor;
  /** D, how much of the input goes past the state; left out, 0: `[channels]`. */
  readonly skip?: Tensor;
  /** z, whose SiLU multiplies the output; left out, 1: `[batch, time, channels]`. */
  readonly gate?: Tensor;
  /** Added to `delta`, before the softplus: `[channels]`; left out, 0. */
  readonly deltaBias?: Tensor;
  /** The state before the first step; left out, 0: `[batch, channels, state]`. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode selectiveScan} and its gradients. */
export interface SelectiveScanOptions extends ScanOptions {
  /** Whether Δ goes through a softplus. @default false */
  readonly deltaSoftplus?: boolean;
}

const RULES = { chunkSize: anything, deltaSoftplus: flag }; // chunkSize by feasibleChunkSize()

/** What {@linkcode selectiveScan} returns. */
export interface SelectiveScanOutputs extends Disposable {
  /** `[batch, time, channels]`. */
  readonly output: Tensor;
  /** The state after the last step: `[batch, channels, state]`. */
  readonly finalState: Tensor;
}

/**
 * The selective state space of Mamba (Gu & Dao 2023, Algorithm 2), discretized as its code does:
 * `h_t = exp(Δ_t A) · h_{t−1} + Δ_t u_t B_t`, `y_t = (C_t · h_t + D u_t) · silu(z_t)`, for each
 * channel a state of its own. Chunked over time; the tensor `[time, channels, state]` is never stored.
 *
 * @throws {RangeError} where a shape does not fit `input` and `a`.
 */
export function selectiveScan(
  gpu: Gpu,
  inputs: SelectiveScanInputs,
  options: SelectiveScanOptions = {},
): SelectiveScanOutputs {
  checkNames("selectiveScan", inputs, INPUTS);
  checkOptions("selectiveScan", options, RULES);
  const extents = checkInputs("selectiveScan", inputs);
  const { batch, time, channels, state } = extents;
  const { input, a, b, c, skip, gate, initialState } = inputs;
  const { workgroupSize, atOnce, inRegisters, ...tuned } = selectiveTiling(gpu, {
    batch,
    time,
    channels,
    state,
  });
  const { chunkSize: asked = tuned.chunkSize } = options;
  const chunkSize = feasibleChunkSize("selectiveScan", asked, time);
  const output = gpu.empty(input.shape);
  const stateShape = [batch, channels, state];
  if (time === 0) return results({ output, finalState: copyOf(gpu, initialState, stateShape) });
  if (options.chunkSize === undefined && inRegisters) {
    const finalState = gpu.empty(stateShape);
    scanInRegisters(gpu, extents, inputs, options.deltaSoftplus ?? false, { output, finalState });
    return results({ output, finalState });
  }
  using delta = stepLengths(inputs, options, gpu);
  const chunks = Math.ceil(time / chunkSize);
  const workgroups = (count: number): number => Math.ceil(channels / workgroupSize) * count * batch;
  /** The output of some chunks at once, from what enters each; the last one's state goes to `leaving`. */
  const run = (firstChunk: number, count: number, carry: Tensor | undefined, leaving: Tensor) => {
    for (let first = 0; first < state; first += STATES) {
      gpu.dispatch(OUTPUT, {
        constants: { WORKGROUP_SIZE: workgroupSize, ACCUMULATE: first > 0 },
        uniform: { ...extents, firstState: first, chunks: count, chunkSize, firstChunk },
        read: { input, delta, a, b, c, carry },
        write: { output, finalState: leaving },
        workgroups: workgroups(count),
      });
    }
  };

  const finalState = gpu.empty(stateShape);
  if (chunks === 1) {
    run(0, 1, initialState, finalState);
  } else if (atOnce) {
    using carry = gpu.empty([chunks, ...stateShape]);
    using deltaSum = gpu.empty([chunks, batch, channels]);
    for (let first = 0; first < state; first += STATES) {
      gpu.dispatch(CHUNK, {
        constants: { WORKGROUP_SIZE: workgroupSize },
        uniform: { ...extents, firstState: first, chunks, chunkSize, firstChunk: 0 },
        read: { input, delta, a, b },
        write: { sum: carry, deltaSum },
        workgroups: workgroups(chunks),
      });
    }
    passStates(gpu, initialState, a, deltaSum, carry, false);
    run(0, chunks, carry, finalState);
  } else {
    let entering = copyOf(gpu, initialState, stateShape);
    for (let chunk = 0; chunk < chunks; chunk++) {
      using carry = entering;
      entering = chunk === chunks - 1 ? finalState : gpu.empty(stateShape);
      run(chunk, 1, carry, entering);
    }
  }
  if (skip || gate) gateOutput(output, gpu, { input, skip, gate });
  return results({ output, finalState });
}

/** What {@linkcode selectiveScanBackward} takes. */
export interface SelectiveScanBackwardInputs extends SelectiveScanInputs {
  /** Of the loss in each output: `[batch, time, channels]`. */
  readonly outputGradient: Tensor;
  /** Of the loss in the final state; left out, 0: `[batch, channels, state]`. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode selectiveScanBackward} returns. */
export interface SelectiveScanGradients extends Disposable {
  /** `[batch, time, channels]`. */
  readonly inputGradient: Tensor;
  /** `[batch, time, channels]`. */
  readonly deltaGradient: Tensor;
  /** `[channels, state]`. */
  readonly aGradient: Tensor;
  /** `[batch, time, state]`. */
  readonly bGradient: Tensor;
  /** `[batch, time, state]`. */
  readonly cGradient: Tensor;
  /** `[channels]`; there where a skip is. */
  readonly skipGradient?: Tensor;
  /** `[batch, time, channels]`; there where a gate is. */
  readonly gateGradient?: Tensor;
  /** `[channels]`; there where a delta bias is. */
  readonly deltaBiasGradient?: Tensor;
  /** `[batch, channels, state]`, where there is an `initialState`. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode selectiveScan}. States are computed again, from those that enter each
 * chunk of 16 steps; nothing of the forward pass needs to be kept.
 *
 * @throws {RangeError} where a shape does not fit `input` and `a`.
 */
export function selectiveScanBackward(
  gpu: Gpu,
  inputs: SelectiveScanBackwardInputs,
  options: Pick<SelectiveScanOptions, "deltaSoftplus"> = {},
): SelectiveScanGradients {
  checkNames("selectiveScanBackward", inputs, INPUTS);
  const op = "selectiveScanBackward";
  checkOptions<SelectiveScanOptions>(op, options, RULES);
  const extents = checkInputs(op, inputs);
  const { batch, time, channels, state } = extents;
  const { input, a, b, c, skip, gate, deltaBias, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  const stateShape = [batch, channels, state];
  checkTensor(op, "outputGradient", outputGradient, input.shape);
  if (finalStateGradient) checkTensor(op, "finalStateGradient", finalStateGradient, stateShape);
  if (SELECTIVE_SCAN_BACKWARD.choose(gpu, { batch, time, channels, state }).inRegisters) {
    const { deltaSoftplus = false } = options;
    return results(scanInRegistersBackward(gpu, extents, inputs, deltaSoftplus));
  }

  const rows = batch * time;
  const chunks = Math.ceil(time / BACKWARD_STEPS);
  const { workgroupSize } = selectiveTiling(gpu, { batch, time, channels, state });
  const grid = {
    constants: { WORKGROUP_SIZE: workgroupSize },
    workgroups: Math.ceil(channels / workgroupSize) * chunks * batch,
  } as const;
  const uniform = (firstState: number): Record<string, number> => ({
    batch,
    time,
    channels,
    state,
    firstState,
    chunks,
    chunkSize: BACKWARD_STEPS,
    firstChunk: 0,
  });
  using delta = stepLengths(inputs, options, gpu);
  using step = gpu.empty([batch, time, channels, 4]);
  const prepare = (): void =>
    gpu.dispatch(PREPARE, {
      constants: { WORKGROUP_SIZE },
      uniform: { elements: input.size },
      read: { input, delta, gate, outputGradient },
      write: { step },
      workgroups: workgroupsFor(input.size),
    });

  prepare();
  using carry = gpu.empty([chunks, ...stateShape]);
  using gradientCarry = gpu.empty([chunks, ...stateShape]);
  using deltaSum = gpu.empty([chunks, batch, channels]);
  for (let first = 0; first < state; first += STATES) {
    gpu.dispatch(BACKWARD_CHUNK, {
      ...grid,
      uniform: uniform(first),
      read: { step, a, b, c },
      write: { sum: carry, gradientSum: gradientCarry, deltaSum },
    });
  }
  passStates(gpu, initialState, a, deltaSum, carry, false);
  passStates(gpu, finalStateGradient, a, deltaSum, gradientCarry, true);

  const inputGradient = gpu.empty(input.shape);
  const deltaGradient = gpu.empty(input.shape);
  const gateGradient = gate && gpu.empty(input.shape);
  const bGradient = gpu.empty(b.shape);
  const cGradient = gpu.empty(c.shape);
  const initialStateGradient = initialState &&
    (time > 0 ? gpu.empty(stateShape) : copyOf(gpu, finalStateGradient, stateShape));
  const blocks = Math.ceil(channels / SHARED_CHANNELS);
  using partial = gpu.empty([blocks, rows, 2 * STATES]);
  for (let first = 0; first < state; first += STATES) {
    if (first > 0) prepare();
    gpu.dispatch(BACKWARD_SHARED, {
      constants: { WORKGROUP_SIZE, CHANNELS: SHARED_CHANNELS },
      uniform: uniform(first),
      read: { step, a, b, c, carry, gradientCarry },
      write: { partial },
      workgroups: [workgroupsFor(STATES / 4 * chunks * batch), blocks],
    });
    gpu.dispatch(SHARED_SUM, {
      constants: { WORKGROUP_SIZE },
      uniform: { rows, state, firstState: first, blocks },
      read: { partial },
      write: { bGradient, cGradient },
      workgroups: workgroupsFor(rows * 2 * STATES),
    });
    gpu.dispatch(BACKWARD, {
      ...grid,
      constants: { ...grid.constants, MOST_STEPS: BACKWARD_STEPS },
      uniform: uniform(first),
      read: { a, b, c, gradientCarry },
      write: { step, carry, initialStateGradient },
    });
    gpu.dispatch(FINISH, {
      constants: {
        WORKGROUP_SIZE,
        SOFTPLUS: options.deltaSoftplus ?? false,
        ACCUMULATE: first > 0,
      },
      uniform: { rows, channels },
      read: { stepGradient: step, delta: inputs.delta, bias: deltaBias, skip },
      write: { inputGradient, deltaGradient },
      workgroups: workgroupsFor(input.size),
    });
    if (gate && gateGradient) {
      gpu.dispatch(GATE_BACKWARD, {
        constants: { WORKGROUP_SIZE, ACCUMULATE: first > 0 },
        uniform: { rows, channels },
        read: { stepGradient: step, input, skip, gate, outputGradient },
        write: { gateGradient },
        workgroups: workgroupsFor(input.size),
      });
    }
  }
  using aPartial = carry.reshape([chunks * batch, channels * state]);
  using aTotal = sumRows(gpu, aPartial);
  return results({
    inputGradient,
    deltaGradient,
    aGradient: aTotal.reshape(a.shape),
    bGradient,
    cGradient,
    ...parameterGradients(gpu, inputs, step, deltaGradient),
    ...gateGradient && { gateGradient },
    ...initialStateGradient && { initialStateGradient },
  });
}

/** Extents of a selective scan. */
export interface Extents {
  batch: number;
  time: number;
  channels: number;
  state: number;
}

/** Checks inputs against one another. @throws {RangeError} where a shape does not fit. */
export function checkInputs(op: string, inputs: SelectiveScanInputs): Extents {
  const { input, delta, a, b, c, skip, gate, deltaBias, initialState } = inputs;
  checkRank(op, "input", input, ["batch", "time", "channels"]);
  checkRank(op, "a", a, ["channels", "state"]);
  const [batch, time, channels] = input.shape;
  const state = a.shape[1];
  checkTensor(op, "input", input, input.shape);
  checkTensor(op, "delta", delta, input.shape);
  checkTensor(op, "a", a, [channels, state]);
  checkTensor(op, "b", b, [batch, time, state]);
  checkTensor(op, "c", c, [batch, time, state]);
  if (skip) checkTensor(op, "skip", skip, [channels]);
  if (gate) checkTensor(op, "gate", gate, input.shape);
  if (deltaBias) checkTensor(op, "deltaBias", deltaBias, [channels]);
  if (initialState) checkTensor(op, "initialState", initialState, [batch, channels, state]);
  return { batch, time, channels, state };
}

/** The skip and the gate of an output, in place. */
export function gateOutput(
  output: Tensor,
  gpu: Gpu,
  { input, skip, gate }: Pick<SelectiveScanInputs, "input" | "skip" | "gate">,
): void {
  const [batch, time, channels] = input.shape;
  gpu.dispatch(GATE, {
    constants: { WORKGROUP_SIZE },
    uniform: { rows: batch * time, channels },
    read: { input, skip, gate },
    write: { output },
    workgroups: workgroupsFor(input.size),
  });
}

/** Δ as the recurrence uses it. */
export function stepLengths(
  { delta, deltaBias }: Pick<SelectiveScanInputs, "delta" | "deltaBias">,
  { deltaSoftplus = false }: SelectiveScanOptions,
  gpu: Gpu,
): Tensor {
  if (!deltaSoftplus && !deltaBias) return delta.reshape(delta.shape);
  return softplus(gpu, delta, { bias: deltaBias, linear: !deltaSoftplus });
}

/** Turns what each chunk does, in `carry`, into what enters it. */
function passStates(
  gpu: Gpu,
  start: Tensor | undefined,
  a: Tensor,
  deltaSum: Tensor,
  carry: Tensor,
  reverse: boolean,
): void {
  const [chunks, batch, channels, state] = carry.shape;
  gpu.dispatch(CARRY, {
    constants: { WORKGROUP_SIZE, REVERSE: reverse },
    uniform: { batch, channels, state, chunks },
    read: { start, a, deltaSum },
    write: { carry },
    workgroups: workgroupsFor(batch * channels * state),
  });
}

/** The gradients of skip and delta bias, where there are any. */
function parameterGradients(
  gpu: Gpu,
  { input, skip, deltaBias }: SelectiveScanInputs,
  step: Tensor,
  deltaGradient: Tensor,
): { skipGradient?: Tensor; deltaBiasGradient?: Tensor } {
  if (!skip && !deltaBias) return {};
  const [batch, time, channels] = input.shape;
  const blocks = Math.ceil(batch * time / BLOCK);
  using skipPartial = gpu.empty([blocks, channels]);
  using biasPartial = gpu.empty([blocks, channels]);
  gpu.dispatch(PARAMETERS, {
    constants: { WORKGROUP_SIZE, BLOCK },
    uniform: { rows: batch * time, channels },
    read: { stepGradient: step, input, deltaGradient },
    write: { skipPartial, biasPartial },
    workgroups: [workgroupsFor(channels), blocks],
  });
  return {
    ...skip && { skipGradient: sumRows(gpu, skipPartial) },
    ...deltaBias && { deltaBiasGradient: sumRows(gpu, biasPartial) },
  };
}
