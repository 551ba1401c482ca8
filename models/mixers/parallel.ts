import { add } from "../operations.ts";
import { prefixed, scoped } from "../parameters.ts";
import type { Variable } from "../tape.ts";
import type { Mixed, Mixer, MixerState } from "./mixer.ts";
import type { SingleMixerConfiguration } from "./configuration.ts";

/** Several mixers side by side: each reads the layer's input, and their outputs are added. */
export interface ParallelConfiguration {
  /** Which mixer this is. */
  readonly kind: "parallel";
  /** The mixers; their parameters and states are told apart by their position. */
  readonly mixers: readonly SingleMixerConfiguration[];
}

/**
 * Mixers side by side (Dong et al. 2024, "Hymba"; Falcon-H1, 2025): the sum of what they make of one
 * input.
 *
 * @throws {RangeError} if there is none.
 */
export function parallelMixer(mixers: readonly Mixer[]): Mixer {
  if (mixers.length === 0) {
    throw new RangeError(
      `Cannot build a mixer of kind "parallel" without mixers: leave the layer's mixer out`,
    );
  }
  const sum = (bytesOf: (mixer: Mixer) => number): number =>
    mixers.reduce((bytes, mixer) => bytes + bytesOf(mixer), 0);
  const reserve: Mixer["reserve"] = (gpu, state, tokens) => {
    const parts = mixers.map((mixer, index) => {
      const own = stateOf(state, `${index}.`)!;
      return mixer.reserve?.(gpu, own, tokens) ?? { state: own, room: Infinity };
    });
    return {
      state: { ...state, tensors: joined(parts.map(({ state }) => state)) },
      room: Math.min(...parts.map(({ room }) => room)),
    };
  };
  return {
    parameters: mixers.flatMap(({ parameters }, index) => prefixed(`${index}`, parameters)),
    stateBytes: (length) => sum((mixer) => mixer.stateBytes(length)),
    largestStateBytes: (length) =>
      Math.max(...mixers.map((mixer) => mixer.largestStateBytes?.(length) ?? 0)),
    recordable: mixers.every(({ recordable }) => recordable),
    reserve: mixers.every(({ reserve }) => reserve === undefined) ? undefined : reserve,
    mix(tape, parameters, x, state, shared): Mixed {
      const mixed = mixers.map((mixer, index) =>
        mixer.mix(tape, scoped(parameters, `${index}`), x, stateOf(state, `${index}.`), shared)
      );
      return {
        output: mixed.map(({ output }) => output).reduce((a, b) => add(tape, a, b)),
        state: {
          position: mixed[0].state.position,
          tensors: joined(mixed.map(({ state }) => state)),
        },
      };
    },
  };
}

/** The tensors of several states, with prefixes. */
function joined(states: readonly MixerState[]): Record<string, Variable> {
  return Object.fromEntries(
    states.flatMap(({ tensors }, index) =>
      Object.entries(tensors).map(([name, tensor]) => [`${index}.${name}`, tensor])
    ),
  );
}

/** The part of a state whose tensors' names begin with a prefix. */
function stateOf(state: MixerState | undefined, prefix: string): MixerState | undefined {
  if (state === undefined) return undefined;
  const tensors: Record<string, Variable> = {};
  for (const [name, tensor] of Object.entries(state.tensors)) {
    if (name.startsWith(prefix)) tensors[name.slice(prefix.length)] = tensor;
  }
  return { ...state, tensors };
}
