import {
  anything,
  checkOptions,
  flag,
  type Gpu,
  type OptionRule,
  positive,
  type Tensor,
} from "../gpu/mod.ts";

/** How rotary frequencies are stretched for sequences longer than those of training. */
export type RotaryScaling =
  /** As trained. */
  | { readonly kind: "none" }
  /** Position interpolation (Chen et al. 2023, eq. 4): every frequency is divided by `factor`. */
  | { readonly kind: "linear"; readonly factor: number }
  /**
   * NTK-aware (Peng et al. 2023, "YaRN", definition 1, after bloc97): the base is multiplied by
   * `factor^(dim / (dim − 2))`, so that the highest frequency stays and the lowest is divided by
   * `factor`.
   */
  | { readonly kind: "ntk"; readonly factor: number }
  | YarnScaling
  | Llama3Scaling;

/**
 * NTK by parts (Peng et al. 2023, "YaRN", section 3.2): a pair that turns at least `fast` times over
 * the trained length stays, one that turns at most `slow` times is divided by `factor`, those between
 * are mixed, linearly in their index. YaRN's other half, the scale of the attention (section 3.3), is
 * the attention's.
 */
export interface YarnScaling {
  /** Which way this is. */
  readonly kind: "yarn";
  /** How many times longer sequences become. */
  readonly factor: number;
  /** Positions of training. */
  readonly trainedLength: number;
  /** Turns above which a pair stays. @default 32 */
  readonly fast?: number;
  /** Turns below which a pair is divided. @default 1 */
  readonly slow?: number;
  /** Whether the bounds between which pairs are mixed are rounded outward. @default true */
  readonly truncate?: boolean;
}

/**
 * Llama 3.1's (Meta's llama-models, llama3/model.py, `apply_scaling`): a pair that turns more than
 * `highFactor` times over the trained length stays, one that turns less than `lowFactor` times is
 * divided by `factor`, those between are mixed, linearly in their turns.
 */
export interface Llama3Scaling {
  /** Which way this is. */
  readonly kind: "llama3";
  /** How many times longer sequences become. */
  readonly factor: number;
  /** Positions of training. */
  readonly trainedLength: number;
  /** Turns below which a pair is divided. */
  readonly lowFactor: number;
  /** Turns above which a pair stays. */
  readonly highFactor: number;
}

/** What the fields of a scaling may be, whatever its kind. */
const SCALING: Readonly<Record<string, OptionRule>> = {
  "scaling.kind": anything, // checked where it is told apart
  "scaling.factor": positive,
  "scaling.trainedLength": positive,
  "scaling.fast": positive,
  "scaling.slow": positive,
  "scaling.truncate": flag,
  "scaling.lowFactor": positive,
  "scaling.highFactor": positive,
};

/** Options of {@linkcode rotaryFrequencies}. */
export interface RotaryFrequenciesOptions {
  /** The elements of a head that turn: even, at most the head's dim. */
  readonly dim: number;
  /** The base θ of the geometric series. @default 10,000 */
  readonly base?: number;
  /** How they are stretched. @default not at all */
  readonly scaling?: RotaryScaling;
}

/**
 * Rotary frequencies in radians a position, in float64: `base^(−2i / dim)` for `i` from 0 to
 * `dim / 2` (Su et al. 2021, section 3.2.2), stretched by `scaling`.
 *
 * @throws {RangeError} where `dim` is odd or the scaling is unknown.
 */
export function rotaryAngles(options: RotaryFrequenciesOptions): Float64Array {
  checkOptions("rotaryFrequencies", options, {
    dim: anything, // checked below
    base: positive,
    scaling: anything,
  });
  const { dim, base = 10_000, scaling = { kind: "none" } } = options;
  const named = Object.entries(scaling).map(([name, value]) => [`scaling.${name}`, value]);
  checkOptions<Record<string, unknown>>("rotaryFrequencies", Object.fromEntries(named), SCALING);
  if (!Number.isInteger(dim) || dim < 2 || dim % 2 !== 0) {
    throw new RangeError(
      `Cannot make rotary frequencies as dim must be even and at least 2: current dim is ${dim}`,
    );
  }
  const series = (base: number): Float64Array =>
    Float64Array.from({ length: dim / 2 }, (_, i) => base ** (-2 * i / dim));
  switch (scaling.kind) {
    case "none":
      return series(base);
    case "linear":
      return series(base).map((frequency) => frequency / scaling.factor);
    case "ntk":
      // A single pair has the highest frequency and the lowest at once: it stays.
      return dim === 2 ? series(base) : series(base * scaling.factor ** (dim / (dim - 2)));
    case "yarn":
      return mixYarn(series(base), base, scaling);
    case "llama3":
      return mixLlama3(series(base), scaling);
    default:
      throw new RangeError(
        `Cannot make rotary frequencies as scaling must be none, linear, ntk, yarn or llama3: current kind is ${
          (scaling as { kind: string }).kind
        }`,
      );
  }
}

function mixYarn(frequencies: Float64Array, base: number, scaling: YarnScaling): Float64Array {
  const { factor, trainedLength, fast = 32, slow = 1, truncate = true } = scaling;
  const dim = 2 * frequencies.length;
  // The index, with a fraction, of the pair that turns so many times over the trained length.
  const indexOf = (turns: number): number =>
    dim * Math.log(trainedLength / (2 * Math.PI * turns)) / (2 * Math.log(base));
  const [from, to] = [indexOf(fast), indexOf(slow)];
  const low = Math.max(0, truncate ? Math.floor(from) : from);
  const high = Math.min(dim - 1, truncate ? Math.ceil(to) : to);
  const span = low === high ? 0.001 : high - low;
  return frequencies.map((frequency, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / span));
    return frequency * (1 - divided) + frequency / factor * divided;
  });
}

function mixLlama3(frequencies: Float64Array, scaling: Llama3Scaling): Float64Array {
  const { factor, trainedLength, lowFactor, highFactor } = scaling;
  return frequencies.map((frequency) => {
    const turns = trainedLength * frequency / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - lowFactor) / (highFactor - lowFactor)));
    return frequency * kept + frequency / factor * (1 - kept);
  });
}

/**
 * The frequencies that `rotary()` takes, from radians a position: `[pairs, 2]`, u32, each a fraction
 * of a turn in 64-bit fixed point, high word first.
 */
export function packRotaryFrequencies(gpu: Gpu, radians: ArrayLike<number>): Tensor<"u32"> {
  const words = new Uint32Array(2 * radians.length);
  for (let i = 0; i < radians.length; i++) {
    const turns = radians[i] / (2 * Math.PI);
    const scaled = (turns - Math.floor(turns)) * 2 ** 32;
    words[2 * i] = scaled;
    words[2 * i + 1] = (scaled - Math.floor(scaled)) * 2 ** 32;
  }
  return gpu.tensor([radians.length, 2], words, "u32");
}

/**
 * Makes the frequencies that `rotary()` takes, once a model: {@linkcode rotaryAngles} through
 * {@linkcode packRotaryFrequencies}.
 *
 * @throws {RangeError} where `dim` is odd or the scaling is unknown.
 */
export function rotaryFrequencies(gpu: Gpu, options: RotaryFrequenciesOptions): Tensor<"u32"> {
  return packRotaryFrequencies(gpu, rotaryAngles(options));
}
