import * as v from "valibot";
import type { LayerConfiguration } from "../../configuration.ts";
import type { MixerConfiguration } from "../../mixers/registry.ts";
import {
  FLAG,
  integer,
  LAYERS,
  LENGTH,
  listOf,
  oneOf,
  POSITIVE,
  SIZE,
  VOCABULARY,
} from "../../schema.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";
import { readRotary, ROTARY_FIELDS } from "./rotary.ts";

/** Each is a block of the gates too, whose parameters are apart here. */
const HEADS = integer(1, 64);

const CONFIG = v.object({
  ...ROTARY_FIELDS,
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  intermediate_size: integer(2, 2 ** 24),
  num_hidden_layers: LAYERS,
  num_attention_heads: HEADS,
  num_key_value_heads: v.nullish(HEADS),
  lru_width: v.nullish(SIZE),
  conv1d_width: v.nullish(SIZE, 4),
  attention_window_size: v.nullish(LENGTH, 2048),
  block_types: v.nullish(
    v.pipe(listOf(oneOf(["recurrent", "attention"])), v.minLength(1, "a list of at least one")),
    ["recurrent", "recurrent", "attention"],
  ),
  hidden_activation: v.nullish(oneOf(["gelu_pytorch_tanh"])),
  attention_bias: v.nullish(FLAG, false),
  logits_soft_cap: v.nullish(POSITIVE, 30),
  rms_norm_eps: v.nullish(POSITIVE, 1e-6),
  tie_word_embeddings: v.nullish(FLAG, true),
});

/** RecurrentGemma (Botev et al. 2024) in transformers' layout. */
export const recurrentGemma: PublishedFamily = publishedFamily({
  sign: '"architectures": ["RecurrentGemmaForCausalLM"]',
  matches: (config) => isTransformers(config, "RecurrentGemmaForCausalLM", "recurrent_gemma"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, num_attention_heads: heads, conv1d_width: taps } = config;
    const { num_hidden_layers: count, block_types: pattern } = config;
    const headDim = file.divide({ hidden_size: width }, { num_attention_heads: heads });
    const keyHeads = config.num_key_value_heads ?? heads;
    file.divide({ num_attention_heads: heads }, { num_key_value_heads: keyHeads });
    const recurrentWidth = config.lru_width ?? width;
    file.divide({ lru_width: recurrentWidth }, { num_attention_heads: heads });
    const turning = readRotary(config, file, headDim, 0.5);
    if (turning.rotaryScaling) {
      file.fail('"rope_type" must be default, as transformers supports nothing else here');
    }
    const mixers: Readonly<Record<"recurrent" | "attention", MixerConfiguration>> = {
      recurrent: {
        kind: "rg_lru",
        recurrentWidth,
        convolution: taps,
        bias: true,
        gateBlocks: heads,
        resetFirst: true,
      },
      attention: {
        kind: "attention",
        heads,
        keyHeads,
        headDim,
        window: config.attention_window_size,
        bias: config.attention_bias,
        outputBias: true,
        ...turning,
      },
    };
    const hidden = Math.floor(config.intermediate_size / 2);
    const layers = Array.from({ length: count }, (_, index): LayerConfiguration => ({
      mixer: mixers[pattern[index % pattern.length]],
      channelMixer: { kind: "geglu", hidden, bias: true },
    }));
    return {
      configuration: {
        family: "recurrent-gemma",
        vocabulary: config.vocab_size,
        width,
        normEpsilon: config.rms_norm_eps,
        embeddingScale: roundToBfloat16(Math.sqrt(width)),
        tiedHead: config.tie_word_embeddings,
        logitSoftCap: config.logits_soft_cap,
        layers,
      },
      sources: sourcesOf(
        {
          "embedding.weight": "model.embed_tokens.weight",
          "norm.weight": onePlus("model.final_norm.weight"),
          "head.weight": "lm_head.weight",
        },
        Array.from(
          { length: count },
          (_, index) =>
            layerSources(`model.layers.${index}`, layers[index].mixer!.kind, {
              recurrentWidth,
              taps,
              blocks: heads,
            }),
        ),
      ),
      besides: /\.rotary_emb\.inv_freq$/,
    };
  },
});

interface Sizes {
  readonly recurrentWidth: number;
  readonly taps: number;
  readonly blocks: number;
}

function layerSources(
  layer: string,
  kind: MixerConfiguration["kind"],
  { recurrentWidth, taps, blocks }: Sizes,
): Record<string, string | ParameterSource> {
  const block = `${layer}.temporal_block`;
  const projections = {
    ...(kind === "attention"
      ? {
        "mixer.query": `${block}.q_proj`,
        "mixer.key": `${block}.k_proj`,
        "mixer.value": `${block}.v_proj`,
        "mixer.output": `${block}.o_proj`,
      }
      : {
        "mixer.input": `${block}.linear_x`,
        "mixer.gate": `${block}.linear_y`,
        "mixer.output": `${block}.linear_out`,
      }),
    "channel_mixer.gate": `${layer}.mlp_block.gate_proj`,
    "channel_mixer.up": `${layer}.mlp_block.up_proj`,
    "channel_mixer.down": `${layer}.mlp_block.down_proj`,
  };
  return {
    "mixer_norm.weight": onePlus(`${layer}.temporal_pre_norm.weight`),
    "channel_norm.weight": onePlus(`${layer}.channel_pre_norm.weight`),
    ...Object.fromEntries(
      Object.entries(projections).flatMap(([ours, theirs]) => [
        [`${ours}.weight`, `${theirs}.weight`],
        [`${ours}.bias`, `${theirs}.bias`],
      ]),
    ),
    "mixer.convolution.weight": convolutionSource(`${block}.conv_1d.weight`, recurrentWidth, taps),
    "mixer.convolution.bias": `${block}.conv_1d.bias`,
    "mixer.decay": `${block}.rg_lru.recurrent_param`,
    ...gateSources(
      "mixer.recurrence_gate",
      `${block}.rg_lru.recurrent_gate`,
      blocks,
      recurrentWidth,
    ),
    ...gateSources("mixer.input_gate", `${block}.rg_lru.input_gate`, blocks, recurrentWidth),
  };
}

/** A block-diagonal gate's blocks, stored in one tensor, each `[inputs, outputs]`. */
function gateSources(
  ours: string,
  theirs: string,
  blocks: number,
  channels: number,
): Record<string, ParameterSource> {
  const size = channels / blocks;
  return Object.fromEntries(
    Array.from({ length: blocks }, (_, block): [string, ParameterSource][] => [
      [`${ours}.${block}.weight`, {
        name: `${theirs}_weight`,
        shape: [blocks, size, size],
        map: (values) =>
          Float32Array.from(
            { length: size * size },
            (_, i) => values[(block * size + i % size) * size + Math.floor(i / size)],
          ),
      }],
      [`${ours}.${block}.bias`, {
        name: `${theirs}_bias`,
        shape: [blocks, size],
        map: (values) => values.slice(block * size, (block + 1) * size),
      }],
    ]).flat(),
  );
}

/** Gemma's norms multiply by 1 + weight. */
function onePlus(name: string): ParameterSource {
  return { name, map: (values) => values.map((value) => 1 + value) };
}

/** To the nearest bfloat16, ties to even: transformers holds the embedding's scale so. */
function roundToBfloat16(value: number): number {
  const [bits] = new Uint32Array(Float32Array.of(value).buffer);
  const rounded = (bits + 0x7fff + (bits >>> 16 & 1)) >>> 16 << 16;
  return new Float32Array(Uint32Array.of(rounded).buffer)[0];
}
