import { activation, add, linearMap, multiply, reshape, scale } from "../operations.ts";
import { multiplyAdd } from "../multiply_add.ts";
import { constant, free, fromUniform, linear, type ParameterSpecification } from "../parameters.ts";
import { rwkv7, tokenShift } from "../recurrences.ts";
import {
  exactly,
  FLAG,
  HEADS,
  NOT_NEGATIVE,
  oneOf,
  optional,
  type Schema,
  SIZE,
  SIZE_OR_NONE,
} from "../schema.ts";
import { uniform } from "../tables.ts";
import type { Variable } from "../tape.ts";
import { F32_BYTES, type Mixed, type Mixer } from "./mixer.ts";
import { headNorm, headNormParameters, unitLength } from "./parts.ts";
import { spread } from "./rwkv6.ts";

/** RWKV-7's time mixing. */
export interface Rwkv7Configuration {
  /** Which mixer this is. */
  readonly kind: "rwkv7";
  /** Heads; heads × headDim is the inner width. */
  readonly heads: number;
  /** Size of a head's keys and values. */
  readonly headDim: number;
  /** Whether it mixes the first layer's values into its own, as all layers but the first do. */
  readonly mixesValues: boolean;
  /** Ranks of the projections that have one. @default 32 each */
  readonly ranks?: Rwkv7Ranks;
  /** What is added to the squared length of a key before it is normalized. @default 1e-24 */
  readonly keyEpsilon?: number;
  /** What the norm of each head adds to the variance. @default 64e-5 */
  readonly normEpsilon?: number;
}

/** Ranks of RWKV-7's low-rank projections. */
export interface Rwkv7Ranks {
  /** The decay's. */
  readonly decay?: number;
  /** The in-context rate's. */
  readonly a?: number;
  /** That of how far values move toward the first layer's. */
  readonly valueMix?: number;
  /** The gate's. */
  readonly gate?: number;
}

/** What checks it where it comes from a file. */
export const RWKV7: Schema<Rwkv7Configuration> = exactly<Rwkv7Configuration>({
  kind: oneOf(["rwkv7"]),
  heads: HEADS,
  headDim: SIZE,
  mixesValues: FLAG,
  ranks: optional(exactly<Rwkv7Ranks>({
    decay: optional(SIZE),
    a: optional(SIZE),
    valueMix: optional(SIZE_OR_NONE),
    gate: optional(SIZE),
  })),
  keyEpsilon: optional(NOT_NEGATIVE),
  normEpsilon: optional(NOT_NEGATIVE),
});

const STREAMS = ["receptance", "decay", "key", "value", "a", "gate"] as const;
/** Name under which the first layer hands its values on to the later ones. */
const FIRST_VALUE = "rwkv7.value";
const RANK = 32;
const NORM_EPSILON = 64e-5;
/** PyTorch's normalize(), which RWKV takes, bounds the length itself, from 1e-12 on. */
const KEY_EPSILON = 1e-24;

/**
 * RWKV-7, Goose (Peng et al. 2025, section 4.1): the state forgets in the direction of the
 * normalized key κ̂ at the in-context rate a, `S_t = (Diag(w_t) − κ̂_t (a_t κ̂_t)ᵀ) S_{t−1} + k_t v_tᵀ`
 * up to transposition; every layer mixes the first one's values into its own.
 */
export function rwkv7Mixer(
  width: number,
  configuration: Rwkv7Configuration,
  outputGain: number,
): Mixer {
  const { heads, headDim, mixesValues, ranks = {} } = configuration;
  const { keyEpsilon = KEY_EPSILON, normEpsilon = NORM_EPSILON } = configuration;
  const inner = heads * headDim;
  const lowRank = (
    name: string,
    rank: number = RANK,
    bias: number | undefined,
  ): ParameterSpecification[] => [
    linear(`${name}.down.weight`, rank, width),
    linear(`${name}.up.weight`, inner, rank, bias === undefined ? 1 : 0.1),
    ...(bias === undefined ? [] : [free(`${name}.bias`, [inner], constant(bias))]),
  ];
  return {
    parameters: [
      ...STREAMS.map((name) => free(`${name}.shift`, [width], fromUniform(0, 1))),
      linear("receptance.weight", inner, width),
      linear("key.weight", inner, width),
      linear("value.weight", inner, width),
      linear("decay.down.weight", ranks.decay ?? RANK, width),
      linear("decay.up.weight", inner, ranks.decay ?? RANK, 0.1),
      free("decay.bias", [inner], spread(-6, -1)),
      ...lowRank("a", ranks.a, 0),
      ...(mixesValues ? lowRank("value_mix", ranks.valueMix, 1) : []),
      ...lowRank("gate", ranks.gate, undefined),
      free("key_norm", [inner], constant(0.85)),
      free("key_a", [inner], constant(1)),
      free("bonus", [heads, headDim], constant(0)),
      ...headNormParameters(heads, headDim),
      linear("output.weight", width, inner, outputGain),
    ],
    recordable: true,
    stateBytes: () => F32_BYTES * (heads * headDim * headDim + width),
    mix(tape, parameters, x, state, shared): Mixed {
      const [batch, time] = x.shape;
      const shift = tokenShift(tape, x, state?.tensors.shift);
      const [receptanceInput, decayInput, keyInput, valueInput, aInput, gateInput] = shift.toward(
        STREAMS.map((name) => parameters(`${name}.shift`)),
      );
      const project = (x: Variable, name: string): Variable =>
        linearMap(tape, x, parameters(`${name}.weight`));
      const biased = (x: Variable, name: string): Variable =>
        add(tape, x, parameters(`${name}.bias`));
      const heads4 = (x: Variable): Variable => reshape(tape, x, [batch, time, heads, headDim]);

      const receptance = heads4(project(receptanceInput, "receptance"));
      const decay = biased(
        project(activation(tape, project(decayInput, "decay.down"), "tanh"), "decay.up"),
        "decay",
      );
      // w = exp(−exp(−softplus(−d) − ½)) = exp(−e^(−½) sigmoid(d)).
      const logDecay = heads4(
        scale(tape, activation(tape, decay, "sigmoid"), -Math.exp(-0.5)),
      );
      const a = activation(
        tape,
        biased(project(project(aInput, "a.down"), "a.up"), "a"),
        "sigmoid",
      );
      const value = mixValues(project(valueInput, "value"));
      const plainKey = project(keyInput, "key");
      const direction = unitLength(
        tape,
        heads4(multiply(tape, plainKey, parameters("key_norm"))),
        keyEpsilon,
      );
      // k · (1 + (a − 1) · key_a) = k + k · (a − 1) · key_a.
      const aLess = add(tape, a, uniform(tape.gpu, [1], -1));
      const [changed] = multiplyAdd(tape, {
        x: multiply(tape, plainKey, aLess),
        factors: [parameters("key_a")],
        addend: plainKey,
      });
      const key = heads4(changed);
      const { output: read, finalState } = rwkv7(tape, {
        receptance,
        logDecay,
        key,
        value: heads4(value),
        a: scale(tape, direction, -1),
        b: multiply(tape, direction, heads4(a)),
        state: state?.tensors.state,
      });
      const normed = headNorm(tape, parameters, read, normEpsilon);
      const bonus = sumHead(multiply(tape, multiply(tape, receptance, key), parameters("bonus")));
      const [output] = multiplyAdd(tape, {
        x: heads4(value),
        factors: [bonus],
        addend: normed,
      });
      const gate = project(activation(tape, project(gateInput, "gate.down"), "sigmoid"), "gate.up");
      const gated = multiply(
        tape,
        reshape(tape, output, [batch, time, inner]),
        gate,
      );
      return {
        output: project(gated, "output"),
        state: {
          position: (state?.position ?? 0) + time,
          tensors: { shift: shift.state, state: finalState },
        },
      };

      /** This layer's values, moved toward the first one's; the first layer hands its own on. */
      function mixValues(value: Variable): Variable {
        const first = mixesValues ? shared.get(FIRST_VALUE) : undefined;
        if (first === undefined) {
          shared.set(FIRST_VALUE, value);
          return value;
        }
        const amount = activation(
          tape,
          biased(project(project(valueInput, "value_mix.down"), "value_mix.up"), "value_mix"),
          "sigmoid",
        );
        const difference = add(tape, first, scale(tape, value, -1));
        return multiplyAdd(tape, { x: difference, factors: [amount], addend: value })[0];
      }

      /** The sum over each head, `[batch, time, heads, 1]`. */
      function sumHead(x: Variable): Variable {
        return linearMap(tape, x, uniform(tape.gpu, [1, headDim], 1));
      }
    },
  };
}
