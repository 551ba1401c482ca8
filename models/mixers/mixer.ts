import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import type { Parameters, ParameterSpecification } from "../parameters.ts";
import type { Tape, Variable } from "../tape.ts";

/** What a mixer carries along the sequence: tensors by name, and how many tokens it has seen. */
export interface MixerState {
  /** Tokens seen before the next one. */
  readonly position: number;
  /**
   * The position of each token to come, on the GPU, for a token or a segment that may be recorded: a
   * mixer that depends on its position takes it from here, as `position` is that of the first replay.
   * `[1]` for a token, for which the state's tensors have room, which {@linkcode Mixer.reserve} makes;
   * `[batch, time]` for a segment of mixers that have no such method.
   */
  readonly place?: Tensor<"u32">;
  /** The carried tensors, batch first. */
  readonly tensors: Readonly<Record<string, Variable>>;
}

/** A mixer's output for a segment, and the state after it. */
export interface Mixed {
  /** `[batch, time, width]`. */
  readonly output: Variable;
  /** The state to continue from. */
  readonly state: MixerState;
}

/**
 * A sequence mixer: attention, a state-space model, a linear RNN. One function serves training,
 * prefill and generation: a segment of any length goes through {@linkcode Mixer.mix} with the state
 * that the segment before it left; a segment of one token runs the step kernels.
 */
export interface Mixer {
  /** The parameters it needs. */
  readonly parameters: readonly ParameterSpecification[];
  /**
   * Mixes a segment `[batch, time, width]`; no state means that the sequence begins here.
   *
   * @param shared What layers hand on to later ones within a segment, by name.
   */
  mix(
    tape: Tape,
    parameters: Parameters,
    x: Variable,
    state: MixerState | undefined,
    shared: Map<string, Variable>,
  ): Mixed;
  /**
   * Whether a token can be recorded and replayed, and a segment of a prompt: nothing that the mixer does
   * depends on the position but through `state.place`, and it reads no state behind the step that takes
   * it. @default false
   */
  readonly recordable?: boolean;
  /**
   * Makes room for more tokens in a state whose tensors grow, so that tokens with a `place` can write
   * into them. Takes the state over.
   *
   * @returns The state, and for how many tokens there is room: at least one, and as many as asked for
   * where a buffer can be as large.
   */
  reserve?(gpu: Gpu, state: MixerState, tokens: number): { state: MixerState; room: number };
  /** Bytes of state, for one sequence, after `length` tokens. */
  stateBytes(length: number): number;
  /** Bytes of its state's largest tensor, where that grows with the length: a cache of keys. */
  largestStateBytes?(length: number): number;
}

/** Bytes of an f32. */
export const F32_BYTES = 4;
/** The share by which a cache that is full grows beyond what it must hold. */
export const CACHE_ROOM = 1 / 8;
