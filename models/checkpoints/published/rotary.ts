import * as v from "valibot";
import type { AttentionConfiguration } from "../../mixers/attention.ts";
import { FLAG, LENGTH, NOT_NEGATIVE, NUMBER, oneOf, POSITIVE, type Schema } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";

/** How an attention's positions turn, and the scale that goes with it. */
export type RotaryConfiguration = Pick<
  AttentionConfiguration,
  "rotaryBase" | "rotaryDim" | "rotaryGain" | "rotaryScaling" | "scale"
>;

const KIND = v.nullish(oneOf(["default", "linear", "dynamic", "yarn", "llama3"]));
const PART: Schema<number> = v.pipe(POSITIVE, v.maxValue(1, "at most 1"));

/** What an object of rotary parameters says. */
export const ROPE = v.object({
  rope_type: KIND,
  type: KIND,
  rope_theta: v.nullish(POSITIVE),
  partial_rotary_factor: v.nullish(PART),
  factor: v.nullish(POSITIVE),
  original_max_position_embeddings: v.nullish(LENGTH),
  attention_factor: v.nullish(POSITIVE),
  beta_fast: v.nullish(NOT_NEGATIVE),
  beta_slow: v.nullish(NOT_NEGATIVE),
  mscale: v.nullish(NUMBER),
  mscale_all_dim: v.nullish(NUMBER),
  truncate: v.nullish(FLAG),
  low_freq_factor: v.nullish(POSITIVE),
  high_freq_factor: v.nullish(POSITIVE),
}, "an object");

/** What a config of transformers says of rotary positions and of their length. */
export const ROTARY_FIELDS = {
  rope_parameters: v.nullish(ROPE),
  rope_scaling: v.nullish(ROPE),
  rope_theta: v.nullish(POSITIVE),
  partial_rotary_factor: v.nullish(PART),
  max_position_embeddings: v.nullish(LENGTH),
  original_max_position_embeddings: v.nullish(LENGTH),
};

const FIELDS = v.object(ROTARY_FIELDS);
type RotaryFields = v.InferOutput<typeof FIELDS>;
type Rope = v.InferOutput<typeof ROPE>;

/** Positions where a config of transformers leaves `max_position_embeddings` out. */
const POSITIONS = 2048;

/**
 * The length that a model was trained at before any scaling stretched its positions, which is what "1
 * times the training length" means: `original_max_position_embeddings` where that is given, be it
 * beside `rope_scaling` or within, else `max_position_embeddings`.
 */
export function readTrainedLength(config: RotaryFields): number | undefined {
  return originalLength(config) ?? config.max_position_embeddings ?? undefined;
}

/**
 * The rotary positions of a transformers checkpoint: `rope_parameters`, or the older `rope_scaling`
 * with `rope_theta` beside it; both say the same.
 *
 * @param part How much of a head turns where the config leaves `partial_rotary_factor` out; `"whole"`
 * in families whose code in transformers turns all of it whatever the config says.
 * @throws {Error} where a scaling lacks a value, or goes with a part of a head that transformers refuses.
 */
export function readRotary(
  config: RotaryFields,
  file: CheckpointConfig,
  headDim: number,
  part: number | "whole",
): RotaryConfiguration {
  const key = ropeKey(config);
  const rope: Partial<Rope> = (key && config[key]) ?? {};
  const kind = rope.rope_type ?? rope.type ?? "default";
  const said = rope.partial_rotary_factor ?? config.partial_rotary_factor;
  // transformers' scaled frequencies are fewer then than such a family's heads have.
  if (part === "whole" && kind !== "default" && (said ?? 1) !== 1) {
    file.fail(
      `"partial_rotary_factor" must be 1 with the "rope_type" "${kind}": current value is ${said}`,
    );
  }
  const turned = part === "whole" ? 1 : said ?? part;
  const rotaryDim = Math.trunc(headDim * turned);
  if (rotaryDim === 0 || rotaryDim % 2 !== 0) {
    file.fail(
      `"partial_rotary_factor" must give an even part of a head's ${headDim} elements: current value gives ${rotaryDim}`,
    );
  }
  const turning = {
    rotaryBase: rope.rope_theta ?? config.rope_theta ?? 10_000,
    ...(turned !== 1 && { rotaryDim }),
  };
  if (kind === "default") return turning;
  const need = (name: "factor" | "low_freq_factor" | "high_freq_factor"): number =>
    rope[name] ?? file.fail(`"${key}" must give "${name}" with the "rope_type" "${kind}"`);
  const limit = config.max_position_embeddings ?? POSITIONS;
  const trainedLength = originalLength(config) ?? limit;
  switch (kind) {
    case "linear":
      return { ...turning, rotaryScaling: { kind, factor: need("factor") } };
    case "dynamic":
      return {
        ...turning,
        rotaryScaling: { kind, factor: need("factor"), trainedLength: limit },
      };
    case "yarn": {
      const factor = rope.factor ?? limit / trainedLength;
      return {
        ...turning,
        rotaryScaling: {
          kind,
          factor,
          trainedLength,
          fast: rope.beta_fast || 32,
          slow: rope.beta_slow || 1,
          truncate: rope.truncate ?? true,
        },
        // What turns of queries and keys is multiplied by the factor, both times.
        ...(turned === 1
          ? { scale: yarnAttentionFactor(rope, factor) ** 2 / Math.sqrt(headDim) }
          : { rotaryGain: yarnAttentionFactor(rope, factor) }),
      };
    }
    case "llama3":
      return {
        ...turning,
        rotaryScaling: {
          kind,
          factor: need("factor"),
          trainedLength,
          lowFactor: need("low_freq_factor"),
          highFactor: need("high_freq_factor"),
        },
      };
  }
}

/** The same positions with another scale of the products of queries and keys than 1/√headDim. */
export function scaleRotary(
  rotary: RotaryConfiguration,
  headDim: number,
  scale: number,
): RotaryConfiguration {
  const grown = rotary.scale === undefined ? 1 : rotary.scale * Math.sqrt(headDim);
  return { ...rotary, scale: scale * grown };
}

/** transformers takes `rope_scaling` where both hold something. */
function ropeKey(config: RotaryFields): "rope_scaling" | "rope_parameters" | undefined {
  return (["rope_scaling", "rope_parameters"] as const).find((key) => {
    const rope = config[key];
    return rope && Object.values(rope).some((value) => value !== undefined);
  });
}

/** The one beside the scaling counts before the one within it, as in transformers. */
function originalLength(config: RotaryFields): number | undefined {
  const key = ropeKey(config);
  return config.original_max_position_embeddings ??
    (key && config[key]?.original_max_position_embeddings) ?? undefined;
}

/** `0.1 ln(factor) + 1` (Peng et al. 2023, "YaRN", eq. 22), or as the checkpoint says. */
function yarnAttentionFactor(
  { attention_factor: said, mscale, mscale_all_dim: mscaleAll }: Partial<Rope>,
  factor: number,
): number {
  if (said !== undefined && said !== null) return said;
  const grown = (weight: number): number => factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  return mscale && mscaleAll ? grown(mscale) / grown(mscaleAll) : grown(1);
}
