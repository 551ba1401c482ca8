import type { AttentionConfiguration } from "../../mixers/attention.ts";
import type { CheckpointConfig } from "./config.ts";

/** How an attention's positions turn, and the scale that goes with it. */
export type RotaryConfiguration = Pick<
  AttentionConfiguration,
  "rotaryBase" | "rotaryDim" | "rotaryScaling" | "scale"
>;

/**
 * The rotary positions of a transformers checkpoint: `rope_parameters`, or the older `rope_theta`
 * with `rope_scaling`.
 *
 * @throws {Error} for a scaling that is not supported.
 */
export function readRotary(
  config: CheckpointConfig,
  headDim: number,
  defaultPart: number,
): RotaryConfiguration {
  const rope = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  const part = rope.number(
    "partial_rotary_factor",
    config.number("partial_rotary_factor", defaultPart),
  );
  const turning = {
    rotaryBase: rope.number("rope_theta", config.number("rope_theta", 10_000)),
    ...(part !== 1 && { rotaryDim: Math.floor(headDim * part) }),
  };
  const kind = rope.string("rope_type", rope.string("type", "default"));
  if (kind === "default") return turning;
  const factor = rope.number("factor");
  const limit = (): number => config.number("max_position_embeddings", 2048);
  switch (kind) {
    case "linear":
      return { ...turning, rotaryScaling: { kind, factor } };
    case "dynamic":
      return { ...turning, rotaryScaling: { kind, factor, trainedLength: limit() } };
    case "yarn":
      return {
        ...turning,
        rotaryScaling: {
          kind,
          factor,
          trainedLength: rope.number("original_max_position_embeddings", limit()),
          fast: rope.number("beta_fast", 32),
          slow: rope.number("beta_slow", 1),
          truncate: rope.boolean("truncate", true),
        },
        // Queries and keys are both multiplied by the factor.
        scale: yarnAttentionFactor(rope, factor) ** 2 / Math.sqrt(headDim),
      };
    case "llama3":
      return {
        ...turning,
        rotaryScaling: {
          kind,
          factor,
          trainedLength: rope.number("original_max_position_embeddings", limit()),
          lowFactor: rope.number("low_freq_factor"),
          highFactor: rope.number("high_freq_factor"),
        },
      };
    default:
      return rope.fail(
        `"rope_type" must be one of default, linear, dynamic, yarn, llama3: current value is "${kind}"`,
      );
  }
}

/** `0.1 ln(factor) + 1` (Peng et al. 2023, "YaRN", eq. 22), or as the checkpoint says. */
function yarnAttentionFactor(rope: CheckpointConfig, factor: number): number {
  if (rope.has("attention_factor")) return rope.number("attention_factor");
  const grown = (weight: number): number => factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  const mscale = rope.number("mscale", 0);
  const mscaleAll = rope.number("mscale_all_dim", 0);
  return mscale && mscaleAll ? grown(mscale) / grown(mscaleAll) : grown(1);
}
