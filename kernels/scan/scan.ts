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
  scanTiling,
  sliceForm,
  WORKGROUP_SIZE,
  workgroupsFor,
} from "./grid.ts";
import { SCAN } from "./shaders.ts";

const SCAN_CHUNK = SCAN.kernel("scan_chunk");
const SCAN_CARRY = SCAN.kernel("scan_carry");
const SCAN_OUTPUT = SCAN.kernel("scan_output");
const SCAN_BACKWARD_CHUNK = SCAN.kernel("scan_backward_chunk");
const SCAN_BACKWARD_OUTPUT = SCAN.kernel("scan_backward_output");
const SCAN_STEP = SCAN.kernel("scan_step");

/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = [
  "decay",
  "input",
  "initialState",
  "output",
  "finalState",
  "outputGradient",
  "finalStateGradient",
];

/** What {@linkcode scan} takes. */
export interface ScanInputs {
  /** The factor of each step, not its logarithm; in [−1, 1] where long sequences stay finite: `[batch, time, channels]`. */
  readonly decay: Tensor;
  /** What each step adds: `[batch, time, channels]`. */
  readonly input: Tensor;
  /** The state before the first step; left out, 0: `[batch, channels]`. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode scan} and {@linkcode scanBackward}. */
export interface ScanOptions {
  /** Steps per chunk; left out, what suits the adapter and the shape. The result is the same. */
  readonly chunkSize?: number;
}

const RULES = { chunkSize: anything }; // by feasibleChunkSize()

/** What {@linkcode scan} returns. */
export interface ScanOutputs extends Disposable {
  /** The state after each step: `[batch, time, channels]`. */
  readonly output: Tensor;
  /** The state after the last step: `[batch, channels]`. */
  readonly finalState: Tensor;
}

/**
 * The elementwise linear recurrence `h_t = decay_t · h_{t−1} + input_t`, chunked and parallel over
 * time (Blelloch 1990, sec. 1.4; Martin & Cundy 2018). It never divides, so that any decay is right,
 * 0 and negative ones too.
 *
 * @throws {RangeError} where a shape does not fit `decay`.
 */
export function scan(gpu: Gpu, inputs: ScanInputs, options: ScanOptions = {}): ScanOutputs {
  checkNames("scan", inputs, INPUTS);
  checkOptions("scan", options, RULES);
  const { decay, input, initialState } = inputs;
  checkRank("scan", "decay", decay, ["batch", "time", "channels"]);
  const [batch, time, channels] = decay.shape;
  checkTensor("scan", "decay", decay, decay.shape);
  checkTensor("scan", "input", input, decay.shape);
  if (initialState) checkTensor("scan", "initialState", initialState, [batch, channels]);
  const output = gpu.empty(decay.shape);
  if (time === 0) {
    return results({ output, finalState: copyOf(gpu, initialState, [batch, channels]) });
  }

  const plan = planChunks(gpu, "scan", decay.shape, options);
  using carry = plan.carries(
    false,
    initialState,
    (product, sum) =>
      gpu.dispatch(SCAN_CHUNK, {
        ...plan.grid,
        read: { decay, input },
        write: { product, sum },
      }),
  );
  const finalState = gpu.empty([batch, channels]);
  gpu.dispatch(SCAN_OUTPUT, {
    ...plan.grid,
    read: { decay, input, carry },
    write: { output, finalState },
  });
  return results({ output, finalState });
}

/** What {@linkcode scanBackward} takes. */
export interface ScanBackwardInputs {
  /** As in the forward pass: `[batch, time, channels]`. */
  readonly decay: Tensor;
  /** From the forward pass: `[batch, time, channels]`. */
  readonly output: Tensor;
  /** As in the forward pass: `[batch, channels]`. */
  readonly initialState?: Tensor;
  /** Of the loss in each output: `[batch, time, channels]`. */
  readonly outputGradient: Tensor;
  /** Of the loss in the final state; left out, 0: `[batch, channels]`. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode scanBackward} returns. */
export interface ScanGradients extends Disposable {
  /** `[batch, time, channels]`. */
  readonly decayGradient: Tensor;
  /** `[batch, time, channels]`. */
  readonly inputGradient: Tensor;
  /** `[batch, channels]`, where there is an `initialState`. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode scan}: the scan backwards, `dh_t = outputGradient_t + decay_{t+1} ·
 * dh_{t+1}`, which is the input's gradient; the decay's is `dh_t · h_{t−1}`.
 *
 * @throws {RangeError} where a shape does not fit `decay`.
 */
export function scanBackward(
  gpu: Gpu,
  inputs: ScanBackwardInputs,
  options: ScanOptions = {},
): ScanGradients {
  checkNames("scanBackward", inputs, INPUTS);
  checkOptions("scanBackward", options, RULES);
  const { decay, output, initialState, outputGradient, finalStateGradient } = inputs;
  checkRank("scanBackward", "decay", decay, ["batch", "time", "channels"]);
  const [batch, time, channels] = decay.shape;
  const state = [batch, channels];
  checkTensor("scanBackward", "decay", decay, decay.shape);
  checkTensor("scanBackward", "output", output, decay.shape);
  if (initialState) checkTensor("scanBackward", "initialState", initialState, state);
  checkTensor("scanBackward", "outputGradient", outputGradient, decay.shape);
  if (finalStateGradient) {
    checkTensor("scanBackward", "finalStateGradient", finalStateGradient, state);
  }
  const decayGradient = gpu.empty(decay.shape);
  const inputGradient = gpu.empty(decay.shape);
  if (time === 0) {
    return results({
      decayGradient,
      inputGradient,
      ...initialState && { initialStateGradient: copyOf(gpu, finalStateGradient, state) },
    });
  }

  const plan = planChunks(gpu, "scanBackward", decay.shape, options);
  using carry = plan.carries(
    true,
    finalStateGradient,
    (product, sum) =>
      gpu.dispatch(SCAN_BACKWARD_CHUNK, {
        ...plan.grid,
        read: { decay, outputGradient },
        write: { product, sum },
      }),
  );
  const initialStateGradient = initialState && gpu.empty(state);
  gpu.dispatch(SCAN_BACKWARD_OUTPUT, {
    ...plan.grid,
    read: { decay, output, initialState, outputGradient, carry },
    write: { decayGradient, inputGradient, initialStateGradient },
  });
  return results({
    decayGradient,
    inputGradient,
    ...initialStateGradient && { initialStateGradient },
  });
}

/** What {@linkcode scanStep} takes. */
export interface ScanStepInputs {
  /** `[batch, 1, channels]`. */
  readonly decay: Tensor;
  /** `[batch, 1, channels]`. */
  readonly input: Tensor;
  /** The state before the step: `[batch, channels]`. */
  readonly state: Tensor;
}

/** Options of {@linkcode scanStep}. */
export interface ScanStepOptions {
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/**
 * One step of {@linkcode scan}; the step's output is the state it returns, `[batch, channels]`.
 *
 * @throws {RangeError} where a shape does not fit `state`.
 */
export function scanStep(
  gpu: Gpu,
  inputs: ScanStepInputs,
  options: ScanStepOptions = {},
): { finalState: Tensor } {
  checkNames("scanStep", inputs, ["decay", "input", "state"]);
  checkOptions("scanStep", options, { inPlace: flag });
  const { decay, input, state } = inputs;
  checkRank("scanStep", "state", state, ["batch", "channels"]);
  const [batch, channels] = state.shape;
  checkTensor("scanStep", "decay", decay, [batch, 1, channels]);
  checkTensor("scanStep", "input", input, [batch, 1, channels]);
  checkTensor("scanStep", "state", state, [batch, channels]);
  const { inPlace = false } = options;
  const finalState = inPlace ? state.reshape(state.shape) : gpu.empty(state.shape);
  gpu.dispatch(SCAN_STEP, {
    constants: { WORKGROUP_SIZE },
    uniform: { elements: state.size },
    read: { decay, input, state: inPlace ? undefined : state },
    write: { finalState },
    workgroups: workgroupsFor(state.size),
  });
  return { finalState };
}

interface ChunkPlan {
  /** What every dispatch over `[batch, chunks, channels]` has in common. */
  readonly grid: {
    readonly constants: Readonly<Record<string, number | boolean>>;
    readonly uniform: Readonly<Record<string, number>>;
    readonly workgroups: number;
  };
  /**
   * What enters each chunk, `[batch, chunks, channels]`, given what enters the sequence; `undefined`
   * for nothing at all. `summarize` fills what each chunk does to it.
   */
  carries(
    reverse: boolean,
    start: Tensor | undefined,
    summarize: (product: Tensor, sum: Tensor) => void,
  ): Tensor | undefined;
}

function planChunks(
  gpu: Gpu,
  op: string,
  shape: readonly number[],
  options: ScanOptions,
): ChunkPlan {
  const [batch, time, channels] = shape;
  const { slice, workgroupSize, ...tuned } = scanTiling(gpu, shape);
  const { chunkSize: asked = tuned.chunkSize } = options;
  const chunkSize = feasibleChunkSize(op, asked, time);
  const chunks = Math.ceil(time / chunkSize);
  const slices = channels / slice;
  const constants = { ...sliceForm(slice), WORKGROUP_SIZE: workgroupSize };
  return {
    grid: {
      constants,
      uniform: { batch, time, channels: slices, chunks, chunkSize },
      workgroups: workgroupsFor(batch * chunks * slices, workgroupSize),
    },
    carries(reverse, start, summarize): Tensor | undefined {
      if (chunks === 1) return start?.reshape([batch, 1, channels]);
      using product = gpu.empty([batch, chunks, channels]);
      using sum = gpu.empty([batch, chunks, channels]);
      summarize(product, sum);
      const carry = gpu.empty([batch, chunks, channels]);
      gpu.dispatch(SCAN_CARRY, {
        constants: { ...constants, REVERSE: reverse },
        uniform: { batch, channels: slices, chunks },
        read: { start, product, sum },
        write: { carry },
        workgroups: workgroupsFor(batch * slices, workgroupSize),
      });
      return carry;
    },
  };
}
