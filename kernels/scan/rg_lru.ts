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
import { WORKGROUP_SIZE, workgroupsFor } from "./grid.ts";
import { scan, scanBackward, type ScanOptions, type ScanOutputs } from "./scan.ts";
import { SCAN } from "./shaders.ts";
import { softplus } from "./softplus.ts";

const RG_LRU_GATES = SCAN.kernel("rg_lru_gates");
const RG_LRU_GATES_BACKWARD = SCAN.kernel("rg_lru_gates_backward");
const RG_LRU_STEP = SCAN.kernel("rg_lru_step");
const RG_LRU_DECAY_PARAMETER = SCAN.kernel("rg_lru_decay_parameter");
const BLOCK = 64;

/** Names of inputs besides the state. */
const GATES = ["input", "recurrenceGate", "inputGate", "decayParameter"];
/** Names of inputs; an op and its gradients may be handed the same, with what the op gave. */
const INPUTS = [
  ...GATES,
  "initialState",
  "output",
  "finalState",
  "outputGradient",
  "finalStateGradient",
];

/** What {@linkcode rgLru} takes. */
export interface RgLruInputs {
  /** x: `[batch, time, channels]`. */
  readonly input: Tensor;
  /** The recurrence gate before its sigmoid: `[batch, time, channels]`. */
  readonly recurrenceGate: Tensor;
  /** The input gate before its sigmoid: `[batch, time, channels]`. */
  readonly inputGate: Tensor;
  /** Λ, before its softplus: `[channels]`. */
  readonly decayParameter: Tensor;
  /** The state before the first step; left out, 0: `[batch, channels]`. */
  readonly initialState?: Tensor;
}

/** Options of {@linkcode rgLru} and its gradients. */
export interface RgLruOptions extends ScanOptions {
  /**
   * The first step is position 0 of its document: as in RecurrentGemma the state before it is dropped
   * and its input taken whole, without √(1 − a²). False by default.
   */
  readonly resetFirst?: boolean;
}

/**
 * The real-gated linear recurrent unit of Griffin (De et al. 2024, sec. 2.4), with c = 8:
 * `log a_t = −c · softplus(Λ) · σ(recurrenceGate_t)`,
 * `h_t = a_t · h_{t−1} + √(1 − a_t²) · σ(inputGate_t) · x_t`.
 *
 * @throws {RangeError} where a shape does not fit `input`.
 */
export function rgLru(gpu: Gpu, inputs: RgLruInputs, options: RgLruOptions = {}): ScanOutputs {
  checkNames("rgLru", inputs, INPUTS);
  checkOptions("rgLru", options, RULES);
  checkInputs("rgLru", inputs);
  using gates = rgLruGates(gpu, inputs, options);
  const { decay, gated } = gates;
  const { chunkSize } = options;
  return scan(gpu, { decay, input: gated, initialState: inputs.initialState }, { chunkSize });
}

const RULES = { chunkSize: anything, resetFirst: flag }; // chunkSize by scan()

/** What {@linkcode rgLruBackward} takes. */
export interface RgLruBackwardInputs extends RgLruInputs {
  /** From the forward pass: `[batch, time, channels]`. */
  readonly output: Tensor;
  /** Of the loss in each output: `[batch, time, channels]`. */
  readonly outputGradient: Tensor;
  /** Of the loss in the final state; left out, 0: `[batch, channels]`. */
  readonly finalStateGradient?: Tensor;
}

/** What {@linkcode rgLruBackward} returns. */
export interface RgLruGradients extends Disposable {
  /** `[batch, time, channels]`. */
  readonly inputGradient: Tensor;
  /** `[batch, time, channels]`. */
  readonly recurrenceGateGradient: Tensor;
  /** `[batch, time, channels]`. */
  readonly inputGateGradient: Tensor;
  /** `[channels]`. */
  readonly decayParameterGradient: Tensor;
  /** `[batch, channels]`, where there is an `initialState`. */
  readonly initialStateGradient?: Tensor;
}

/**
 * The gradients of {@linkcode rgLru}. The square root's derivative is bounded by 1000 as in
 * RecurrentGemma, so that a decay of 1 gives no infinity.
 *
 * @throws {RangeError} where a shape does not fit `input`.
 */
export function rgLruBackward(
  gpu: Gpu,
  inputs: RgLruBackwardInputs,
  options: RgLruOptions = {},
): RgLruGradients {
  checkNames("rgLruBackward", inputs, INPUTS);
  checkOptions("rgLruBackward", options, RULES);
  checkInputs("rgLruBackward", inputs);
  const { input, recurrenceGate, inputGate, decayParameter, output, initialState } = inputs;
  const { outputGradient, finalStateGradient } = inputs;
  const [batch, time, channels] = input.shape;
  checkTensor("rgLruBackward", "output", output, input.shape);
  checkTensor("rgLruBackward", "outputGradient", outputGradient, input.shape);
  if (finalStateGradient) {
    checkTensor("rgLruBackward", "finalStateGradient", finalStateGradient, [batch, channels]);
  }
  using gates = rgLruGates(gpu, inputs, options);
  const scanInputs = {
    decay: gates.decay,
    output,
    initialState,
    outputGradient,
    finalStateGradient,
  };
  const { decayGradient, inputGradient, initialStateGradient } = scanBackward(
    gpu,
    scanInputs,
    { chunkSize: options.chunkSize },
  );
  const inputGateGradient = gpu.empty(input.shape);
  const blocks = Math.ceil(batch * time / BLOCK);
  using partial = gpu.empty([blocks, channels]);
  gpu.dispatch(RG_LRU_GATES_BACKWARD, {
    constants: { WORKGROUP_SIZE, BLOCK, RESET_FIRST: options.resetFirst ?? false },
    uniform: { batch, time, channels },
    read: { input, recurrenceGate, inputGate, rate: gates.rate },
    write: { decayGradient, gatedGradient: inputGradient, inputGateGradient, partial },
    workgroups: [workgroupsFor(channels), blocks],
  });
  const decayParameterGradient = gpu.empty([channels]);
  gpu.dispatch(RG_LRU_DECAY_PARAMETER, {
    constants: { WORKGROUP_SIZE },
    uniform: { blocks, channels },
    read: { decayParameter, partial },
    write: { decayParameterGradient },
    workgroups: workgroupsFor(channels),
  });
  return results({
    inputGradient,
    recurrenceGateGradient: decayGradient,
    inputGateGradient,
    decayParameterGradient,
    ...initialStateGradient && { initialStateGradient },
  });
}

/** What {@linkcode rgLruStep} takes; `input` and the gates are `[batch, 1, channels]`. */
export interface RgLruStepInputs extends Omit<RgLruInputs, "initialState"> {
  /** The state before the step: `[batch, channels]`. */
  readonly state: Tensor;
}

/** Options of {@linkcode rgLruStep}. */
export interface RgLruStepOptions extends Pick<RgLruOptions, "resetFirst"> {
  /** Whether the state is overwritten: `finalState` is its memory then. @default false */
  readonly inPlace?: boolean;
}

/**
 * One step of {@linkcode rgLru}; the step's output is the state it returns, `[batch, channels]`.
 *
 * @throws {RangeError} where a shape does not fit `input`, or `input` has more than one step.
 */
export function rgLruStep(
  gpu: Gpu,
  inputs: RgLruStepInputs,
  options: RgLruStepOptions = {},
): { finalState: Tensor } {
  checkNames("rgLruStep", inputs, [...GATES, "state"]);
  checkOptions("rgLruStep", options, { resetFirst: flag, inPlace: flag });
  const { input, recurrenceGate, inputGate, decayParameter, state } = inputs;
  checkRank("rgLruStep", "state", state, ["batch", "channels"]);
  const [batch, channels] = state.shape;
  checkTensor("rgLruStep", "input", inputs.input, [batch, 1, channels]);
  checkInputs("rgLruStep", inputs);
  const { resetFirst: RESET_FIRST = false, inPlace = false } = options;
  const finalState = inPlace ? state.reshape(state.shape) : gpu.empty(state.shape);
  gpu.dispatch(RG_LRU_STEP, {
    constants: { WORKGROUP_SIZE, RESET_FIRST },
    uniform: { elements: state.size, channels },
    read: {
      input,
      recurrenceGate,
      inputGate,
      decayParameter,
      state: inPlace ? undefined : state,
    },
    write: { finalState },
    workgroups: workgroupsFor(Math.ceil(state.size / 4)),
  });
  return { finalState };
}

function checkInputs(op: string, inputs: RgLruInputs): void {
  const { input, recurrenceGate, inputGate, decayParameter, initialState } = inputs;
  checkRank(op, "input", input, ["batch", "time", "channels"]);
  const [batch, , channels] = input.shape;
  checkTensor(op, "input", input, input.shape);
  checkTensor(op, "recurrenceGate", recurrenceGate, input.shape);
  checkTensor(op, "inputGate", inputGate, input.shape);
  checkTensor(op, "decayParameter", decayParameter, [channels]);
  if (initialState) checkTensor(op, "initialState", initialState, [batch, channels]);
}

interface Gates extends Disposable {
  readonly rate: Tensor;
  readonly decay: Tensor;
  readonly gated: Tensor;
}

function rgLruGates(gpu: Gpu, inputs: RgLruInputs, options: RgLruOptions): Gates {
  const { input, recurrenceGate, inputGate, decayParameter } = inputs;
  const [batch, time, channels] = input.shape;
  const rate = softplus(gpu, decayParameter);
  const decay = gpu.empty(input.shape);
  const gated = gpu.empty(input.shape);
  gpu.dispatch(RG_LRU_GATES, {
    constants: { WORKGROUP_SIZE, RESET_FIRST: options.resetFirst ?? false },
    uniform: { batch, time, channels },
    read: { input, recurrenceGate, inputGate, rate },
    write: { decay, gated },
    workgroups: workgroupsFor(Math.ceil(input.size / 4)),
  });
  return {
    rate,
    decay,
    gated,
    [Symbol.dispose](): void {
      for (const tensor of [rate, decay, gated]) tensor[Symbol.dispose]();
    },
  };
}
