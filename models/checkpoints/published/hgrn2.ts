import type { LayerConfiguration } from "../../configuration.ts";
import type { Hgrn2Configuration } from "../../mixers/hgrn2.ts";
import type { CheckpointConfig } from "./config.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  type PublishedModel,
} from "./family.ts";
import { readConvolution, readFla, refuseUnless } from "./fla.ts";

/** What fla's fused norm before the output's projection adds, whatever `norm_eps` says. */
const OUTPUT_EPSILON = 1e-5;
const BOUNDS = "model.lower_bounds";

/**
 * HGRN2 (Qin et al. 2024) in flash-linear-attention's layout. Lower bounds of the forget gates grow
 * from layer to layer: the cumulative softmax over layers of one tensor, 0 in the first.
 */
export const hgrn2: PublishedFamily = {
  sign: '"architectures": ["HGRN2ForCausalLM"]',
  matches: (config) => isTransformers(config, "HGRN2ForCausalLM", "hgrn2"),
  read(config): PublishedModel {
    const width = config.number("hidden_size", 2048);
    const heads = readHeads(config, width);
    const headDim = width / heads;
    const convolution = readConvolution(config, false);
    const bounded = config.boolean("use_lower_bound", true);
    refuseUnless(config, "elementwise_affine", true);
    const mixer: Hgrn2Configuration = {
      kind: "hgrn2",
      heads,
      expansion: headDim,
      valueDim: headDim,
      convolution,
      outputNorm: "together",
      normEpsilon: OUTPUT_EPSILON,
    };
    const streams = { query: "q", forget: "f", value: "i" };
    const model = readFla(config, {
      family: "hgrn2",
      mixer,
      hiddenRatio: 4,
      layers: 24,
      sources: (attn) => ({
        ...Object.fromEntries(
          Object.entries(streams).flatMap(([ours, theirs]) => [
            [`mixer.${ours}.weight`, `${attn}.${theirs}_proj.weight`],
            [
              `mixer.${ours}_convolution.weight`,
              convolutionSource(`${attn}.${theirs}_conv1d.weight`, width, convolution),
            ],
          ]),
        ),
        "mixer.norm.weight": `${attn}.g_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
    if (!bounded) return model;
    const layers = model.configuration.layers.map((layer, index): LayerConfiguration =>
      layer.mixer?.kind === "hgrn2" && index > 0
        ? { ...layer, mixer: { ...layer.mixer, bounded } }
        : layer
    );
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
      ...(model.olderSources && { olderSources: withBounds(model.olderSources) }),
      // No layer's bound comes from it where the first is the only one.
      besides: new RegExp(`${model.besides!.source}|^model\\.lower_bounds$`),
    };
  },
};

/** Heads of the size that `expand_ratio` gives; `num_heads` says how many where that is null. */
function readHeads(config: CheckpointConfig, width: number): number {
  const [key, heads] = config.values.expand_ratio === null
    ? ["num_heads", config.number("num_heads")]
    : ["expand_ratio", width / config.number("expand_ratio", 128)];
  if (Number.isInteger(heads) && heads > 0 && width % heads === 0) return heads;
  return config.fail(
    `"${key}" must divide "hidden_size" (${width}): current value is ${config.values[key] ?? 128}`,
  );
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
