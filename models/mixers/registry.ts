import { didYouMean } from "../did_you_mean.ts";
import { ATTENTION, attentionMixer } from "./attention.ts";
import { DELTA_NET, deltaNetMixer } from "./delta_net.ts";
import { GLA, glaMixer } from "./gla.ts";
import { HGRN, hgrnMixer } from "./hgrn.ts";
import { HGRN2, hgrn2Mixer } from "./hgrn2.ts";
import { KDA, kdaMixer } from "./kda.ts";
import { LINEAR_ATTENTION, linearAttentionMixer } from "./linear_attention.ts";
import { MAMBA1, mamba1Mixer } from "./mamba1.ts";
import { MAMBA2, mamba2Mixer } from "./mamba2.ts";
import type { Mixer } from "./mixer.ts";
import type { OwnMixerConfiguration, SingleMixerConfiguration } from "./configuration.ts";
import { type ParallelConfiguration, parallelMixer } from "./parallel.ts";
import { RETNET, retNetMixer } from "./retnet.ts";
import { RG_LRU, rgLruMixer } from "./rg_lru.ts";
import { RWKV6, rwkv6Mixer } from "./rwkv6.ts";
import { RWKV7, rwkv7Mixer } from "./rwkv7.ts";
import { SHORT_CONVOLUTION, shortConvolutionMixer } from "./short_convolution.ts";
import * as v from "valibot";
import { byKind, exactly, listOf, oneOf, type Schema } from "../schema.ts";

/** What mixes along the sequence in a layer: a mixer, or several side by side. */
export type MixerConfiguration = SingleMixerConfiguration | ParallelConfiguration;

const SINGLE_SCHEMAS = {
  attention: ATTENTION,
  delta_net: DELTA_NET,
  gated_delta_net: DELTA_NET,
  gla: GLA,
  hgrn: HGRN,
  hgrn2: HGRN2,
  kda: KDA,
  linear_attention: LINEAR_ATTENTION,
  mamba1: MAMBA1,
  mamba2: MAMBA2,
  retnet: RETNET,
  rg_lru: RG_LRU,
  rwkv6: RWKV6,
  rwkv7: RWKV7,
  short_convolution: SHORT_CONVOLUTION,
};

const OWN_PREFIX = "own_";
/** Checks what is its own of a mixer of one's own; what it makes of its options is its own to check. */
const OWN: Schema<OwnMixerConfiguration> = v.looseObject({
  kind: v.custom<OwnMixerConfiguration["kind"]>(isOwn, `a kind that begins with ${OWN_PREFIX}`),
}) as unknown as Schema<OwnMixerConfiguration>;

const SINGLE: Schema<SingleMixerConfiguration> = orOwn(
  byKind<Exclude<SingleMixerConfiguration, OwnMixerConfiguration>>(SINGLE_SCHEMAS),
);

/** What checks a mixer's configuration where it comes from a file. */
export const MIXER: Schema<MixerConfiguration> = orOwn(
  byKind<Exclude<MixerConfiguration, OwnMixerConfiguration>>({
    ...SINGLE_SCHEMAS,
    parallel: exactly<ParallelConfiguration>({
      kind: oneOf(["parallel"]),
      mixers: listOf(SINGLE),
    }),
  }),
);

function orOwn<Known>(known: Schema<Known>): Schema<Known | OwnMixerConfiguration> {
  return v.lazy((value) => isOwn((value as { kind?: unknown } | null)?.kind) ? OWN : known);
}

function isOwn(kind: unknown): kind is OwnMixerConfiguration["kind"] {
  return typeof kind === "string" && kind.startsWith(OWN_PREFIX);
}

/**
 * Makes a mixer of a width from its configuration. The gain multiplies the deviation of the output
 * projection's initial values.
 */
export type MixerFactory<Configuration = MixerConfiguration> = (
  width: number,
  configuration: Configuration,
  outputGain: number,
) => Mixer;

type MixerFactories = {
  [Kind in Exclude<MixerConfiguration, OwnMixerConfiguration>["kind"]]: MixerFactory<
    MixerConfiguration & { readonly kind: Kind }
  >;
};

const MIXERS: MixerFactories = {
  attention: attentionMixer,
  delta_net: deltaNetMixer,
  gated_delta_net: deltaNetMixer,
  gla: glaMixer,
  hgrn: hgrnMixer,
  hgrn2: hgrn2Mixer,
  kda: kdaMixer,
  linear_attention: linearAttentionMixer,
  mamba1: mamba1Mixer,
  mamba2: mamba2Mixer,
  parallel: (width, { mixers }, outputGain) => {
    const gain = outputGain / Math.sqrt(mixers.length);
    return parallelMixer(mixers.map((mixer) => createMixer(width, mixer, gain)));
  },
  retnet: retNetMixer,
  rg_lru: rgLruMixer,
  rwkv6: rwkv6Mixer,
  rwkv7: rwkv7Mixer,
  short_convolution: shortConvolutionMixer,
};

/** The kinds of mixers of Lengthwise's own. */
export const MIXER_KINDS = Object.keys(MIXERS) as readonly MixerConfiguration["kind"][];

const OWN_MIXERS = new Map<string, MixerFactory<never>>();

/**
 * Names a mixer of one's own: from here on layers of that kind are built, trained, saved and loaded as
 * all others are. A kind that is named again is replaced.
 *
 * ```ts
 * import { defineMixer, Model, openGpu, operations } from "@lengthwise/lengthwise";
 * import { linear } from "@lengthwise/lengthwise/models";
 *
 * // The mean of all tokens so far, as a running sum: y = W · sum / count.
 * defineMixer("own_mean", (width, _configuration: { kind: "own_mean" }, outputGain) => ({
 *   parameters: [linear("output.weight", width, width, outputGain)],
 *   stateBytes: () => 4 * width,
 *   mix(tape, parameters, x, state) {
 *     const position = state?.position ?? 0;
 *     const sums: ReturnType<typeof operations.add>[] = [];
 *     for (let t = 0; t < x.shape[1]; t++) {
 *       const token = operations.sliceTime(tape, x, t, 1);
 *       const before = sums.at(-1) ?? state?.tensors.sum;
 *       sums.push(before ? operations.add(tape, before, token) : token);
 *     }
 *     const means = sums.map((sum, t) => operations.scale(tape, sum, 1 / (position + t + 1)));
 *     const mean = operations.concatenateTime(tape, means);
 *     return {
 *       output: operations.linearMap(tape, mean, parameters("output.weight")),
 *       state: { position: position + x.shape[1], tensors: { sum: sums.at(-1)! } },
 *     };
 *   },
 * }));
 *
 * await using gpu = await openGpu();
 * using model = new Model(gpu, {
 *   family: "mean",
 *   vocabulary: 16,
 *   width: 32,
 *   layers: [{ mixer: { kind: "own_mean" }, channelMixer: { kind: "swiglu", hidden: 64 } }],
 * }, { seed: 1 });
 * console.log(await model.generate([1, 2, 3], { maxTokens: 2 }));
 * ```
 *
 * @param kind Begins with `own_`, which no mixer of Lengthwise does.
 * @throws {RangeError} where it does not.
 */
export function defineMixer<Configuration extends OwnMixerConfiguration | { kind: string }>(
  kind: OwnMixerConfiguration["kind"],
  create: MixerFactory<Configuration>,
): void {
  if (!isOwn(kind)) {
    throw new RangeError(
      `Cannot define a mixer of kind "${kind}" as it must begin with "${OWN_PREFIX}"`,
    );
  }
  OWN_MIXERS.set(kind, create as MixerFactory<never>);
}

/**
 * The mixer that a configuration describes.
 *
 * @param outputGain Multiplies the deviation of the output projection's initial values.
 * @throws {RangeError} for an unknown kind.
 */
export function createMixer(
  width: number,
  configuration: MixerConfiguration,
  outputGain: number,
): Mixer {
  const { kind } = configuration;
  const factory = (isOwn(kind) ? OWN_MIXERS.get(kind) : MIXERS[kind]) as MixerFactory | undefined;
  if (factory === undefined) {
    const known = [...MIXER_KINDS, ...OWN_MIXERS.keys()];
    const remedy = isOwn(kind) ? "define it with defineMixer() first" : undefined;
    throw new RangeError(didYouMean("mixer", kind, known, remedy));
  }
  return factory(width, configuration, outputGain);
}
