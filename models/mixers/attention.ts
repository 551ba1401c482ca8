import {
  type Llama3Scaling,
  rotaryFrequencies,
  type RotaryScaling,
  type YarnScaling,
} from "../../kernels/position/mod.ts";
import type { AttentionStepOptions } from "../../kernels/attention/mod.ts";
import type { Gpu, Tensor } from "../../kernels/gpu/mod.ts";
import { affine, affineParameters } from "../affine.ts";
import { alibiTable } from "./alibi.ts";
import {
  attention,
  attentionAt,
  concatenateTime,
  gatedActivation,
  multiply,
  reshape,
  rmsNorm,
  rotary,
  sliceTime,
} from "../operations.ts";
import { constant, free, normal } from "../parameters.ts";
import { convolution } from "../recurrences.ts";
import {
  byKind,
  exactly,
  FLAG,
  HEADS,
  LENGTH,
  NOT_NEGATIVE,
  NUMBER,
  oneOf,
  optional,
  POSITIVE,
  type Schema,
  SIZE,
  SIZE_OR_NONE,
} from "../schema.ts";
import { table } from "../tables.ts";
import { Variable } from "../tape.ts";
import type { Tape } from "../tape.ts";
import { CACHE_ROOM, F32_BYTES, type Mixed, type Mixer, type MixerState } from "./mixer.ts";

/** Softmax attention. */
export interface AttentionConfiguration {
  /** Which mixer this is. */
  readonly kind: "attention";
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads, which divide the query heads. @default as many */
  readonly keyHeads?: number;
  /** Size of a head. */
  readonly headDim: number;
  /** Base of the rotary positions; left out, there are no positions. */
  readonly rotaryBase?: number;
  /** The leading elements of a head that turn. @default all */
  readonly rotaryDim?: number;
  /** Multiplies what turns of queries and keys, as YaRN does where a part of a head turns. @default 1 */
  readonly rotaryGain?: number;
  /** How the rotary frequencies are stretched. @default not at all */
  readonly rotaryScaling?: RotaryScaling | DynamicScaling;
  /** Multiplies the queries. @default 1/√headDim */
  readonly scale?: number;
  /** Whether queries, keys and values have biases. @default false */
  readonly bias?: boolean;
  /** Whether the output has a bias. @default false */
  readonly outputBias?: boolean;
  /** Width of a short convolution, with a bias, over queries, keys and values. @default none */
  readonly convolution?: number;
  /** How many tokens a query sees, itself included; left out, all before it. */
  readonly window?: number;
  /**
   * With a window: how many of the first tokens every query sees besides (Xiao et al. 2023); 0 unless
   * told. Their keys keep the positions at which they were read.
   */
  readonly sinks?: number;
  /** Whether distance is taken off the logits, in place of rotary positions. @default false */
  readonly alibi?: boolean;
  /**
   * RMS norm of queries and keys before they turn: of each `head`, with weights that the heads share,
   * or of all heads `together`. @default no norm
   */
  readonly queryKeyNorm?: "head" | "together";
  /** What that norm adds to the mean square. @default 1e-5 */
  readonly normEpsilon?: number;
  /** A scaled product s of query and key becomes `softCap · tanh(s / softCap)` (Gemma 2). @default none */
  readonly softCap?: number;
  /**
   * Whether the sigmoid of another projection of the input multiplies the heads' outputs (Qiu et al.
   * 2025, "Gated Attention"). @default false
   */
  readonly outputGate?: boolean;
}

const NORM_EPSILON = 1e-5;

/**
 * Dynamic NTK scaling (Peng et al. 2023, "YaRN", section 3.4, after emozilla): as trained up to the
 * trained length, and past it NTK-aware for the length that has been read. Keys stay as they were
 * turned when they were read, as in transformers' cache, so that a long sequence read in segments is
 * not the same as read whole.
 */
export interface DynamicScaling {
  /** Which way this is. */
  readonly kind: "dynamic";
  /** How fast the frequencies are stretched with the length. */
  readonly factor: number;
  /** Positions of training. */
  readonly trainedLength: number;
}

const SCALING: Schema<RotaryScaling | DynamicScaling> = byKind<RotaryScaling | DynamicScaling>({
  none: exactly<{ readonly kind: "none" }>({ kind: oneOf(["none"]) }),
  linear: exactly<{ readonly kind: "linear"; readonly factor: number }>({
    kind: oneOf(["linear"]),
    factor: POSITIVE,
  }),
  ntk: exactly<{ readonly kind: "ntk"; readonly factor: number }>({
    kind: oneOf(["ntk"]),
    factor: POSITIVE,
  }),
  yarn: exactly<YarnScaling>({
    kind: oneOf(["yarn"]),
    factor: POSITIVE,
    trainedLength: LENGTH,
    fast: optional(POSITIVE),
    slow: optional(POSITIVE),
    truncate: optional(FLAG),
  }),
  llama3: exactly<Llama3Scaling>({
    kind: oneOf(["llama3"]),
    factor: POSITIVE,
    trainedLength: LENGTH,
    lowFactor: POSITIVE,
    highFactor: POSITIVE,
  }),
  dynamic: exactly<DynamicScaling>({
    kind: oneOf(["dynamic"]),
    factor: POSITIVE,
    trainedLength: LENGTH,
  }),
});

/** What checks it where it comes from a file. */
export const ATTENTION: Schema<AttentionConfiguration> = exactly<AttentionConfiguration>({
  kind: oneOf(["attention"]),
  heads: HEADS,
  keyHeads: optional(HEADS),
  headDim: SIZE,
  rotaryBase: optional(POSITIVE),
  rotaryDim: optional(SIZE),
  rotaryGain: optional(NUMBER),
  rotaryScaling: optional(SCALING),
  scale: optional(NUMBER),
  bias: optional(FLAG),
  outputBias: optional(FLAG),
  convolution: optional(SIZE_OR_NONE),
  window: optional(LENGTH),
  sinks: optional(SIZE_OR_NONE),
  alibi: optional(FLAG),
  queryKeyNorm: optional(oneOf(["head", "together"])),
  normEpsilon: optional(NOT_NEGATIVE),
  softCap: optional(POSITIVE),
  outputGate: optional(FLAG),
});

/**
 * Causal softmax attention over a cache of keys and values (Vaswani et al. 2017; RoPE: Su et al. 2021).
 *
 * @throws {RangeError} for sinks without a window, and for ALiBi with sinks.
 */
export function attentionMixer(
  width: number,
  configuration: AttentionConfiguration,
  outputGain: number,
): Mixer {
  const { heads, keyHeads = heads, headDim, rotaryBase, window } = configuration;
  const { alibi = false } = configuration;
  const { sinks = 0 } = configuration;
  const kept = window === undefined ? Infinity : window + sinks;
  if (sinks > 0 && window === undefined) {
    throw new RangeError(
      `Cannot use attention sinks without a window, as all tokens are in view: current number of sinks is ${sinks}`,
    );
  }
  if (alibi && sinks > 0) {
    throw new RangeError(
      `Cannot use ALiBi with attention sinks as the distance to a sink is not kept: current number of sinks is ${sinks}`,
    );
  }
  const { rotaryDim = headDim, rotaryScaling, rotaryGain = 1, scale } = configuration;
  const { bias = false, outputBias = false } = configuration;
  const { convolution: taps = 0 } = configuration;
  const { queryKeyNorm, normEpsilon = NORM_EPSILON, softCap, outputGate = false } = configuration;
  const streams = { query: heads * headDim, key: keyHeads * headDim, value: keyHeads * headDim };
  const cacheBytes = 2 * keyHeads * headDim * F32_BYTES;
  const tailBytes = F32_BYTES * Math.max(0, taps - 1) * (heads + 2 * keyHeads) * headDim;
  const gains = (tape: Tape): Variable =>
    table(
      tape.gpu,
      `gains ${[headDim, rotaryDim, rotaryGain]}`,
      [headDim],
      (i) => i < rotaryDim ? rotaryGain : 1,
    );
  return {
    parameters: [
      ...Object.entries(streams).flatMap(([name, channels]) => [
        ...affineParameters(name, channels, width, { bias }),
        ...(taps === 0 ? [] : [
          free(`${name}_convolution.weight`, [channels, taps], normal(1 / Math.sqrt(taps))),
          free(`${name}_convolution.bias`, [channels], constant(0)),
        ]),
        ...(queryKeyNorm === undefined || name === "value" ? [] : [
          free(
            `${name}_norm.weight`,
            [queryKeyNorm === "head" ? headDim : channels],
            constant(1),
          ),
        ]),
      ]),
      ...(outputGate ? affineParameters("gate", heads * headDim, width, { bias }) : []),
      ...affineParameters("output", width, heads * headDim, {
        bias: outputBias,
        gain: outputGain,
      }),
    ],
    stateBytes: (length) => tailBytes + cacheBytes * Math.min(length, kept),
    largestStateBytes: (length) => cacheBytes / 2 * Math.min(length, kept),
    recordable: rotaryScaling?.kind !== "dynamic",
    reserve: (gpu, state, tokens) => reserve(gpu, state, tokens, { window, sinks }),
    mix(tape, parameters, x, state): Mixed {
      const [batch, time] = x.shape;
      const position = state?.position ?? 0;
      const tails: Record<string, Variable> = {};
      const project = (name: keyof typeof streams): Variable => {
        let output = affine(tape, parameters, name, x, { bias });
        if (taps > 0) {
          const convolved = convolution(tape, {
            x: output,
            weight: parameters(`${name}_convolution.weight`),
            bias: parameters(`${name}_convolution.bias`),
            tail: state?.tensors[`${name}Tail`],
          }, "none");
          output = convolved.output;
          tails[`${name}Tail`] = convolved.finalState;
        }
        const isNormed = queryKeyNorm !== undefined && name !== "value";
        const norm = (x: Variable): Variable =>
          rmsNorm(tape, x, parameters(`${name}_norm.weight`), normEpsilon);
        if (isNormed && queryKeyNorm === "together") output = norm(output);
        const split = reshape(tape, output, [batch, time, streams[name] / headDim, headDim]);
        return isNormed && queryKeyNorm === "head" ? norm(split) : split;
      };
      const frequencies = rotaryBase === undefined ? undefined : rotaryTable(tape, {
        dim: rotaryDim,
        base: rotaryBase,
        scaling: rotaryScaling,
      }, position + time);
      const grown = (x: Variable): Variable =>
        frequencies && rotaryGain !== 1 ? multiply(tape, x, gains(tape)) : x;
      const segment = {
        query: grown(project("query")),
        key: grown(project("key")),
        value: project("value"),
      };
      const options = {
        causal: true,
        window,
        sinks,
        alibiSlopes: alibi ? alibiTable(tape.gpu, heads) : undefined,
        scale,
        softCap,
      };
      const { output: mixed, cache } = state?.place === undefined
        ? attend(tape, segment, state?.tensors, Math.min(position, kept), position, {
          ...options,
          frequencies,
        })
        : step(tape, segment, state.tensors, state.place, { ...options, frequencies });
      const read = reshape(tape, mixed, [batch, time, heads * headDim]);
      const joined = outputGate
        ? gatedActivation(tape, affine(tape, parameters, "gate", x, { bias }), read, "sigmoid")
        : read;
      const output = affine(tape, parameters, "output", joined, { bias: outputBias });
      const { key, value } = cache;
      return { output, state: { position: position + time, tensors: { key, value, ...tails } } };
    },
  };
}

type Heads = { readonly query: Variable; readonly key: Variable; readonly value: Variable };
type Cached = { readonly key: Variable; readonly value: Variable };
type Options = AttentionStepOptions & { readonly frequencies?: Tensor<"u32"> };

/** Attention of a segment behind the `length` keys of a cache, and the cache after it. */
function attend(
  tape: Tape,
  segment: Heads,
  cached: Readonly<Record<string, Variable>> | undefined,
  length: number,
  position: number,
  { frequencies, ...options }: Options,
): { output: Variable; cache: Cached } {
  const time = segment.query.shape[1];
  const { query, key } = frequencies === undefined
    ? segment
    : rotary(tape, segment, frequencies, position);
  const cache = extend(tape, cached, { key, value: segment.value }, length);
  const output = attention(tape, { query, key: cache.key, value: cache.value }, {
    ...options,
    queryOffset: cache.length - time,
    keyLength: cache.length,
  });
  const { window, sinks = 0 } = options;
  return { output, cache: window === undefined ? cache : keep(tape, cache, window, sinks) };
}

/** Attention of one token whose position is on the GPU; the cache has a row for it. */
function step(
  tape: Tape,
  token: Heads,
  { key, value }: Readonly<Record<string, Variable>>,
  place: Tensor<"u32">,
  options: Options,
): { output: Variable; cache: Cached } {
  const output = attentionAt(tape, place, token, { key, value }, options);
  return { output, cache: { key, value } };
}

/** A cache with room for more tokens, that of a window as a ring behind its sinks. */
function reserve(
  gpu: Gpu,
  state: MixerState,
  tokens: number,
  { window, sinks }: { readonly window: number | undefined; readonly sinks: number },
): { state: MixerState; room: number } {
  const { position, place, tensors: { key, value, ...others } } = state;
  const [batch, capacity, ...rest] = key.shape;
  const step = rest.reduce((product, extent) => product * extent, 1);
  const ring = window === undefined ? undefined : window + sinks;
  if (ring !== undefined && place !== undefined) return { state, room: Infinity };
  const most = Math.floor(
    gpu.device.limits.maxStorageBufferBindingSize / (F32_BYTES * batch * step),
  );
  const rows = ring ?? Math.max(capacity, position + 1, Math.min(most, position + tokens));
  const length = Math.min(position, rows);
  const moved = (variable: Variable): Variable => {
    const grown = gpu.empty([batch, rows, ...rest]);
    // In a ring that is full the oldest key behind the sinks stands where the next one goes.
    const full = ring !== undefined && position >= ring;
    const start = full ? sinks + (position - sinks) % (rows - sinks) : length;
    const runs = full
      ? [[0, 0, sinks], [sinks, start, rows - start], [sinks + rows - start, sinks, start - sinks]]
      : [[0, 0, length]];
    for (let sequence = 0; sequence < batch; sequence++) {
      for (const [from, to, count] of runs) {
        gpu.copy(variable.tensor, grown, {
          sourceOffset: (sequence * capacity + from) * step,
          destinationOffset: (sequence * rows + to) * step,
          elements: count * step,
        });
      }
    }
    variable.tensor[Symbol.dispose]();
    return new Variable(grown);
  };
  const room = ring === undefined ? rows - position : Infinity;
  if (rows === capacity && ring === undefined) return { state, room };
  return {
    state: { ...state, tensors: { key: moved(key), value: moved(value), ...others } },
    room,
  };
}

interface Cache {
  readonly key: Variable;
  readonly value: Variable;
  /** How many of the cache's time steps hold something. */
  readonly length: number;
}

/**
 * The cache with a segment behind it. A cache that is not differentiated has room to spare and is
 * written in place, enlarged by an eighth where it is full; otherwise the segment is joined to it.
 */
function extend(
  tape: Tape,
  cache: Readonly<Record<string, Variable>> | undefined,
  segment: { key: Variable; value: Variable },
  length: number,
): Cache {
  const total = length + segment.key.shape[1];
  if (cache === undefined) return { ...segment, length: total };
  const grown = (name: "key" | "value"): Variable => {
    if (tape.differentiates([cache[name], segment[name]])) {
      return concatenateTime(tape, [cache[name], segment[name]]);
    }
    return appendTime(tape, cache[name], segment[name], length);
  };
  return { key: grown("key"), value: grown("value"), length: total };
}

/** Writes `segment` behind the first `length` steps of `cache`, in a larger tensor where it is full. */
function appendTime(tape: Tape, cache: Variable, segment: Variable, length: number): Variable {
  const [batch, capacity, ...rest] = cache.shape;
  const time = segment.shape[1];
  const step = rest.reduce((product, extent) => product * extent, 1);
  const fits = length + time <= capacity;
  const room = fits ? capacity : roomFor(tape.gpu, length + time, F32_BYTES * batch * step);
  const target = fits ? cache.tensor.reshape(cache.shape) : tape.gpu.empty([batch, room, ...rest]);
  for (let sequence = 0; sequence < batch; sequence++) {
    if (!fits) {
      tape.gpu.copy(cache.tensor, target, {
        sourceOffset: sequence * capacity * step,
        destinationOffset: sequence * room * step,
        elements: length * step,
      });
    }
    tape.gpu.copy(segment.tensor, target, {
      sourceOffset: sequence * time * step,
      destinationOffset: (sequence * room + length) * step,
      elements: time * step,
    });
  }
  tape.own(target);
  return new Variable(target);
}

/** Time steps of a cache that is to hold some: an eighth more, where a binding can be as large. */
function roomFor({ bindingLimit }: Gpu, time: number, bytesOfStep: number): number {
  const most = Math.floor(bindingLimit / bytesOfStep);
  return Math.max(time, Math.min(most, Math.ceil(time * (1 + CACHE_ROOM))));
}

/** The first `sinks` and the last `window` time steps of a cache. */
function keep(tape: Tape, cache: Cache, window: number, sinks: number): Cache {
  const length = Math.min(cache.length, window + sinks);
  if (cache.length === length && cache.key.shape[1] === length) return cache;
  const rest = (variable: Variable): Variable => {
    if (cache.length === length || sinks === 0) {
      return sliceTime(tape, variable, cache.length - length, length);
    }
    return concatenateTime(tape, [
      sliceTime(tape, variable, 0, sinks),
      sliceTime(tape, variable, cache.length - window, window),
    ]);
  };
  return { key: rest(cache.key), value: rest(cache.value), length };
}

/** What rotary frequencies depend on. */
export interface RotaryTableOptions {
  /** The elements of a head that turn. */
  readonly dim: number;
  /** The base of the frequencies. */
  readonly base: number;
  /** How they are stretched. */
  readonly scaling?: RotaryScaling | DynamicScaling;
}

/**
 * Rotary frequencies `[dim / 2]` once `length` tokens are read. They are made once for each GPU, but
 * for those that change with the length: the tape owns these.
 */
export function rotaryTable(tape: Tape, options: RotaryTableOptions, length = 0): Tensor<"u32"> {
  const { gpu } = tape;
  const { dim, base, scaling } = options;
  if (scaling?.kind === "dynamic" && length > scaling.trainedLength) {
    const factor = scaling.factor * length / scaling.trainedLength - (scaling.factor - 1);
    return tape.own(rotaryFrequencies(gpu, { dim, base, scaling: { kind: "ntk", factor } }));
  }
  const fixed = scaling?.kind === "dynamic" ? undefined : scaling;
  return gpu.once(
    `rotary ${JSON.stringify([dim, base, fixed])}`,
    () => rotaryFrequencies(gpu, { dim, base, scaling: fixed }),
  );
}
