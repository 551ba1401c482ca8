import type { LayerConfiguration } from "../../configuration.ts";
import type { MixerConfiguration } from "../../mixers/registry.ts";
import {
  convolutionSource,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  type PublishedModel,
  sourcesOf,
} from "./family.ts";
import { readRotary } from "./rotary.ts";

/** RecurrentGemma (Botev et al. 2024) in transformers' layout. */
export const recurrentGemma: PublishedFamily = {
  sign: '"architectures": ["RecurrentGemmaForCausalLM"]',
  matches: (config) => isTransformers(config, "RecurrentGemmaForCausalLM", "recurrent_gemma"),
  read(config): PublishedModel {
    const width = config.number("hidden_size");
    const heads = config.number("num_attention_heads");
    const headDim = width / heads;
    const count = config.number("num_hidden_layers");
    const tiedHead = config.boolean("tie_word_embeddings", true);
    const recurrentWidth = config.number("lru_width", width);
    const taps = config.number("conv1d_width", 4);
    const pattern = config.list("block_types", ["recurrent", "recurrent", "attention"]);
    const mixers: Readonly<Record<string, MixerConfiguration>> = {
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
        keyHeads: config.number("num_key_value_heads", heads),
        headDim,
        window: config.number("attention_window_size", 2048),
        bias: config.boolean("attention_bias", false),
        outputBias: true,
        ...readRotary(config, headDim, 0.5),
      },
    };
    const kind = config.choice(
      "hidden_activation",
      { gelu_pytorch_tanh: "geglu" } as const,
      "gelu_pytorch_tanh",
    );
    const hidden = Math.floor(config.number("intermediate_size") / 2);
    const layers = Array.from({ length: count }, (_, index): LayerConfiguration => {
      const type = `${pattern[index % pattern.length]}`;
      const mixer = Object.hasOwn(mixers, type) ? mixers[type] : config.fail(
        `"block_types" must be recurrent or attention: current value is ${JSON.stringify(pattern)}`,
      );
      return { mixer, channelMixer: { kind, hidden, bias: true } };
    });
    return {
      configuration: {
        family: "recurrent-gemma",
        vocabulary: config.number("vocab_size"),
        width,
        normEpsilon: config.number("rms_norm_eps", 1e-6),
        embeddingScale: roundToBfloat16(Math.sqrt(width)),
        tiedHead,
        logitSoftCap: config.number("logits_soft_cap", 30),
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
      besides: tiedHead ? /^lm_head\.weight$|\.rotary_emb\.inv_freq$/ : /\.rotary_emb\.inv_freq$/,
    };
  },
};

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
