import * as v from "valibot";
import type { LayerConfiguration, ModelConfiguration } from "../../configuration.ts";
import { FLAG, LAYERS, LENGTH, only, POSITIVE, SIZE, VOCABULARY } from "../../schema.ts";
import {
  type BareFamily,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  transpose,
  transposedSource,
} from "./family.ts";
import { lengthInName, type RwkvNames, rwkvSources } from "./rwkv.ts";
import type { CheckpointTensors } from "./tensors.ts";

/** What RWKV-6's tensors have the shapes of. */
interface Sizes {
  readonly width: number;
  readonly inner: number;
  readonly shiftRank: number;
  readonly decayRank: number;
}

/** The five streams' letters as their parameters are called, in the order of `time_maa_w2`. */
const STREAMS = [
  ["w", "decay"],
  ["k", "key"],
  ["v", "value"],
  ["r", "receptance"],
  ["g", "gate"],
] as const;
const EPSILON = 1e-5;

/** RWKV-6 in RWKV's own names: BlinkDL's `.pth` files, which have no `config.json`. */
export const rwkv6Bare: BareFamily = {
  sign: "blocks.0.att.time_maa_w1",
  read(tensors): PublishedModel {
    const [vocabulary, width] = tensors.shape("emb.weight", 2);
    const [heads, headDim] = tensors.shape("blocks.0.att.time_faaaa", 2);
    const [, shiftRank] = tensors.shape("blocks.0.att.time_maa_w2", 3);
    const [, decayRank] = tensors.shape("blocks.0.att.time_decay_w1", 2);
    const [hidden] = tensors.shape("blocks.0.ffn.key.weight", 2);
    const sizes = { width, inner: heads * headDim, shiftRank, decayRank };
    const count = tensors.count(/^blocks\.(\d+)\./);
    return {
      trainedLength: lengthInName(tensors.source),
      configuration: configure(vocabulary, width, count, {
        mixer: { kind: "rwkv6", heads, headDim, shiftRank, decayRank },
        channelMixer: { kind: "rwkv6", hidden },
      }),
      sources: locate(
        { embedding: "emb", embeddingNorm: "blocks.0.ln0", blocks: "blocks", norm: "ln_out" },
        { mixer: "att", channelMixer: "ffn" },
        count,
        sizes,
        (name, size) => tensors.vector(name, size),
      ),
    };
  },
};

const CONFIG = v.object({
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  attention_hidden_size: v.nullish(SIZE),
  intermediate_size: v.nullish(SIZE),
  num_hidden_layers: LAYERS,
  head_size: v.nullish(SIZE, 64),
  head_size_divisor: v.nullish(POSITIVE, 8),
  // The final norm has 1e-5 whatever the config says.
  layer_norm_epsilon: only(EPSILON, "1e-5"),
  context_length: v.nullish(LENGTH),
  tie_word_embeddings: v.nullish(FLAG, false),
});

/** RWKV-6 in the Hugging Face layout, as `RWKV/rwkv-6-world-*` has it. */
export const rwkv6: PublishedFamily = publishedFamily({
  sign: '"architectures": ["Rwkv6ForCausalLM"]',
  matches: (config) => isTransformers(config, "Rwkv6ForCausalLM", "rwkv6"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, head_size: headDim, num_hidden_layers: count } = config;
    const inner = config.attention_hidden_size ?? width;
    // The ranks are not in the config: modeling_rwkv6.py has larger ones for the 7B alone.
    const sizes = width === 4096
      ? { width, inner, shiftRank: 64, decayRank: 128 }
      : { width, inner, shiftRank: 32, decayRank: 64 };
    const { shiftRank, decayRank } = sizes;
    // "rescale_every" halves the residual stream in float16 alone, where it would overflow: it is f32
    // here, and the weights are stored without.
    return {
      ...(config.context_length && { trainedLength: config.context_length }),
      configuration: {
        ...configure(config.vocab_size, width, count, {
          mixer: {
            kind: "rwkv6",
            heads: file.divide({ attention_hidden_size: inner }, { head_size: headDim }),
            headDim,
            shiftRank,
            decayRank,
            normEpsilon: EPSILON * config.head_size_divisor ** 2,
          },
          channelMixer: {
            kind: "rwkv6",
            hidden: config.intermediate_size ?? 32 * Math.floor(3.5 * width / 32),
          },
        }),
        tiedHead: config.tie_word_embeddings,
      },
      sources: locate(
        {
          embedding: "rwkv.embeddings",
          embeddingNorm: "rwkv.blocks.0.pre_ln",
          blocks: "rwkv.blocks",
          norm: "rwkv.ln_out",
        },
        { mixer: "attention", channelMixer: "feed_forward" },
        count,
        sizes,
        (name, size) => ({ name, shape: [1, 1, size] }),
      ),
    };
  },
});

function configure(
  vocabulary: number,
  width: number,
  count: number,
  layer: LayerConfiguration,
): ModelConfiguration {
  return {
    family: "rwkv6",
    vocabulary,
    width,
    norm: "layer",
    normEpsilon: EPSILON,
    embeddingNorm: true,
    layers: Array(count).fill(layer),
  };
}

function locate(
  names: RwkvNames,
  parts: { readonly mixer: string; readonly channelMixer: string },
  count: number,
  { width, inner, shiftRank, decayRank }: Sizes,
  vector: CheckpointTensors["vector"],
): Map<string, ParameterSource> {
  return rwkvSources(names, count, (block) => {
    const mixer = `${block}.${parts.mixer}`;
    const channels = `${block}.${parts.channelMixer}`;
    return {
      "mixer.shift": vector(`${mixer}.time_maa_x`, width),
      "mixer.shift.down.weight": transposedSource(
        `${mixer}.time_maa_w1`,
        width,
        STREAMS.length * shiftRank,
      ),
      ...Object.fromEntries(STREAMS.flatMap(([letter, stream], index) => [
        [`mixer.${stream}.shift`, vector(`${mixer}.time_maa_${letter}`, width)],
        [
          `mixer.${stream}.shift.up.weight`,
          slice(`${mixer}.time_maa_w2`, [STREAMS.length, shiftRank, width], index),
        ],
      ])),
      "mixer.decay.bias": vector(`${mixer}.time_decay`, inner),
      "mixer.decay.down.weight": transposedSource(`${mixer}.time_decay_w1`, width, decayRank),
      "mixer.decay.up.weight": transposedSource(`${mixer}.time_decay_w2`, decayRank, inner),
      "mixer.bonus": `${mixer}.time_faaaa`,
      ...Object.fromEntries(
        ["receptance", "key", "value", "gate", "output"].map((name) => [
          `mixer.${name}.weight`,
          `${mixer}.${name}.weight`,
        ]),
      ),
      "mixer.norm.weight": { name: `${mixer}.ln_x.weight`, shape: [inner] },
      "mixer.norm.bias": { name: `${mixer}.ln_x.bias`, shape: [inner] },
      "channel_mixer.key.shift": vector(`${channels}.time_maa_k`, width),
      "channel_mixer.receptance.shift": vector(`${channels}.time_maa_r`, width),
      ...Object.fromEntries(
        ["key", "receptance", "value"].map((name) => [
          `channel_mixer.${name}.weight`,
          `${channels}.${name}.weight`,
        ]),
      ),
    };
  });
}

/** One of the linear maps that are stored together, `[maps, inputs, outputs]`. */
function slice(
  name: string,
  shape: readonly [maps: number, inputs: number, outputs: number],
  index: number,
): ParameterSource {
  const [, inputs, outputs] = shape;
  const size = inputs * outputs;
  return {
    name,
    shape,
    map: (values) => transpose(values.subarray(index * size, (index + 1) * size), inputs, outputs),
  };
}
