import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { Hgrn2Configuration } from "../../mixers/hgrn2.ts";
import { FLAG, HEADS, only, POSITIVE } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readFla, streamSources } from "./fla.ts";

/** What fla's fused norm before the output's projection adds, whatever `norm_eps` says. */
const OUTPUT_EPSILON = 1e-5;
const BOUNDS = "model.lower_bounds";

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  num_heads: v.nullish(HEADS),
  /** Where it is null, `num_heads` says how many heads there are. */
  expand_ratio: v.optional(v.nullable(POSITIVE), 128),
  use_short_conv: v.nullish(FLAG, false),
  use_lower_bound: v.nullish(FLAG, true),
  elementwise_affine: only(true),
});
type Config = v.InferOutput<typeof CONFIG>;

/**
 * HGRN2 (Qin et al. 2024) in flash-linear-attention's layout. Lower bounds of the forget gates grow
 * from layer to layer: the cumulative softmax over layers of one tensor, 0 in the first.
 */
export const hgrn2: PublishedFamily = publishedFamily({
  sign: '"architectures": ["HGRN2ForCausalLM"]',
  matches: (config) => isTransformers(config, "HGRN2ForCausalLM", "hgrn2"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, use_lower_bound: bounded } = config;
    const heads = readHeads(config, file);
    const headDim = width / heads;
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const mixer: Hgrn2Configuration = {
      kind: "hgrn2",
      heads,
      expansion: headDim,
      valueDim: headDim,
      convolution,
      outputNorm: "together",
      normEpsilon: OUTPUT_EPSILON,
    };
    const channels = { query: width, forget: width, value: width };
    const model = readFla(config, file, {
      family: "hgrn2",
      mixer,
      sources: (attn) => ({
        ...streamSources(attn, channels, convolution, { value: "i" }),
        "mixer.norm.weight": `${attn}.g_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
    return bounded ? withLowerBounds(model, width) : model;
  },
});

/** A model whose HGRN layers but the first have lower bounds, which are kept for all in one tensor. */
export function withLowerBounds(model: PublishedModel, width: number): PublishedModel {
  const layers = model.configuration.layers.map((layer, index): LayerConfiguration => {
    const { mixer } = layer;
    return index > 0 && (mixer?.kind === "hgrn" || mixer?.kind === "hgrn2")
      ? { ...layer, mixer: { ...mixer, bounded: true } }
      : layer;
  });
  const bounds = layers.map((_, index) =>
    [`layers.${index}.mixer.forget.bound`, boundSource(layers.length, width, index)] as const
  );
  const withBounds = (
    sources: ReadonlyMap<string, ParameterSource>,
  ): ReadonlyMap<string, ParameterSource> => new Map([...sources, ...bounds]);
  return {
    ...model,
    configuration: { ...model.configuration, layers },
    sources: withBounds(model.sources),
    otherSources: model.otherSources?.map(withBounds),
    // No layer's bound comes from it where the first is the only one.
    besides: new RegExp(`${model.besides!.source}|^model\\.lower_bounds$`),
  };
}

/** Heads of the size that `expand_ratio` gives; `num_heads` says how many where that is null. */
function readHeads(
  { expand_ratio: ratio, num_heads: heads, hidden_size: width }: Config,
  file: CheckpointConfig,
): number {
  if (ratio !== null) return file.divide({ hidden_size: width }, { expand_ratio: ratio });
  if (typeof heads !== "number") return file.fail('it must give "num_heads" or "expand_ratio"');
  file.divide({ hidden_size: width }, { num_heads: heads });
  return heads;
}

/** A layer's bounds as the mixer has them, before a sigmoid; stored for all layers before a softmax. */
function boundSource(layers: number, width: number, layer: number): ParameterSource {
  return {
    name: BOUNDS,
    shape: [layers, width],
    map: (values) =>
      Float32Array.from({ length: width }, (_, channel) => {
        const stored = Array.from({ length: layers }, (_, row) => values[row * width + channel]);
        const largest = Math.max(...stored);
        const shares = stored.map((value) => Math.exp(value - largest));
        // Layers 1 to this one are below the bound, the first and those behind are above.
        const below = shares.slice(1, layer + 1).reduce((sum, share) => sum + share, 0);
        const above = shares[0] + shares.slice(layer + 1).reduce((sum, share) => sum + share, 0);
        return Math.log(below / above);
      }),
  };
}
