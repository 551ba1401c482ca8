import * as v from "valibot";
import type { ModelConfiguration } from "../../configuration.ts";
import type { Rwkv7Configuration } from "../../mixers/rwkv7.ts";
import { FLAG, HEADS, SIZE } from "../../schema.ts";
import {
  type BareFamily,
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  transposedSource,
} from "./family.ts";
import { FLA_NAMES, lengthInName, readFla, RWKV_FLA_FIELDS, rwkvSources } from "./rwkv.ts";

/** Streams' letters as their parameters are called. */
const STREAMS = {
  r: "receptance",
  w: "decay",
  k: "key",
  v: "value",
  a: "a",
  g: "gate",
} as const;
/** Low-rank projections' letters as their parameters are called. */
const LOW_RANKS = { w: "decay", a: "a", v: "value_mix", g: "gate" } as const;
const EPSILON = 1e-5;

type Ranks = Readonly<Record<keyof typeof LOW_RANKS, number>>;

/** RWKV-7 in RWKV's own names: BlinkDL's `.pth` files, which have no `config.json`. */
export const rwkv7Bare: BareFamily = {
  sign: "blocks.0.att.r_k",
  read(tensors): PublishedModel {
    const [vocabulary, width] = tensors.shape("emb.weight", 2);
    const [heads, headDim] = tensors.shape("blocks.0.att.r_k", 2);
    const [hidden] = tensors.shape("blocks.0.ffn.key.weight", 2);
    const count = tensors.count(/^blocks\.(\d+)\./);
    const rank = (name: string): number => tensors.shape(`blocks.${name}`, 2)[1];
    const ranks = {
      w: rank("0.att.w1"),
      a: rank("0.att.a1"),
      v: count > 1 ? rank("1.att.v1") : 0,
      g: rank("0.att.g1"),
    };
    const inner = heads * headDim;
    return {
      trainedLength: lengthInName(tensors.source),
      configuration: configure(vocabulary, width, hidden, count, ranks, { heads, headDim }),
      sources: rwkvSources(
        { embedding: "emb", embeddingNorm: "blocks.0.ln0", blocks: "blocks", norm: "ln_out" },
        count,
        (block) => ({
          ...Object.fromEntries(
            Object.entries(STREAMS).map(([letter, stream]) => [
              `mixer.${stream}.shift`,
              tensors.vector(`${block}.att.x_${letter}`, width),
            ]),
          ),
          ...Object.fromEntries(
            Object.entries(LOW_RANKS).flatMap(([letter, name]) => {
              const rank = ranks[letter as keyof Ranks];
              const stored = `${block}.att.${letter}`;
              return [
                [`mixer.${name}.down.weight`, transposedSource(`${stored}1`, width, rank)],
                [`mixer.${name}.up.weight`, transposedSource(`${stored}2`, rank, inner)],
                [`mixer.${name}.bias`, tensors.vector(`${stored}0`, inner)],
              ];
            }),
          ),
          ...Object.fromEntries(
            ["receptance", "key", "value", "output"].map((name) => [
              `mixer.${name}.weight`,
              `${block}.att.${name}.weight`,
            ]),
          ),
          "mixer.key_norm": tensors.vector(`${block}.att.k_k`, inner),
          "mixer.key_a": tensors.vector(`${block}.att.k_a`, inner),
          "mixer.bonus": `${block}.att.r_k`,
          "mixer.norm.weight": { name: `${block}.att.ln_x.weight`, shape: [inner] },
          "mixer.norm.bias": { name: `${block}.att.ln_x.bias`, shape: [inner] },
          "channel_mixer.key.shift": tensors.vector(`${block}.ffn.x_k`, width),
          "channel_mixer.key.weight": `${block}.ffn.key.weight`,
          "channel_mixer.value.weight": `${block}.ffn.value.weight`,
        }),
      ),
      // The first layer has no values before it to mix in.
      besides: /^blocks\.0\.att\.v[012]$/,
    };
  },
};

const CONFIG = v.object({
  ...RWKV_FLA_FIELDS,
  num_heads: v.nullish(HEADS),
  head_dim: v.nullish(SIZE),
  decay_low_rank_dim: SIZE,
  a_low_rank_dim: SIZE,
  v_low_rank_dim: SIZE,
  gate_low_rank_dim: SIZE,
  fuse_norm: v.nullish(FLAG, true),
});

/** RWKV-7 in fla's layout, as `fla-hub/rwkv7-*` and `RWKV/RWKV7-Goose-*` have it. */
export const rwkv7: PublishedFamily = publishedFamily({
  sign: '"architectures": ["RWKV7ForCausalLM"]',
  matches: (config) => isTransformers(config, "RWKV7ForCausalLM", "rwkv7"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { width, count, vocabulary, hidden, normEpsilon, tiedHead, rest } = readFla(config);
    const headDim = config.head_dim ??
      (config.num_heads
        ? file.divide({ hidden_size: width }, { num_heads: config.num_heads })
        : file.fail('it must give "head_dim" or "num_heads"'));
    const ranks = {
      w: config.decay_low_rank_dim,
      a: config.a_low_rank_dim,
      v: config.v_low_rank_dim,
      g: config.gate_low_rank_dim,
    };
    const configuration = configure(vocabulary, width, hidden, count, ranks, {
      heads: file.divide({ hidden_size: width }, { head_dim: headDim }),
      headDim,
      normEpsilon: headDim * normEpsilon,
      // fla's fused norms add to a key's squared length what PyTorch's normalize() does not.
      ...(config.fuse_norm && { keyEpsilon: 1e-6 }),
    });
    return {
      ...rest,
      configuration: { ...configuration, normEpsilon, tiedHead },
      sources: rwkvSources(FLA_NAMES, count, (block) => flaBlock(block, width)),
    };
  },
});

function flaBlock(block: string, width: number): Record<string, string | ParameterSource> {
  const mixer = `${block}.attn`;
  return {
    ...Object.fromEntries(
      Object.entries(STREAMS).map(([letter, stream]) => [
        `mixer.${stream}.shift`,
        { name: `${mixer}.x_${letter}`, shape: [1, 1, width] },
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(LOW_RANKS).flatMap(([letter, name]) => [
        [`mixer.${name}.down.weight`, `${mixer}.${letter}_lora.lora.0.weight`],
        [`mixer.${name}.up.weight`, `${mixer}.${letter}_lora.lora.2.weight`],
        [`mixer.${name}.bias`, `${mixer}.${letter}_lora.lora.2.bias`],
      ]),
    ),
    "mixer.receptance.weight": `${mixer}.r_proj.weight`,
    "mixer.key.weight": `${mixer}.k_proj.weight`,
    "mixer.value.weight": `${mixer}.v_proj.weight`,
    "mixer.output.weight": `${mixer}.o_proj.weight`,
    "mixer.key_norm": `${mixer}.k_k`,
    "mixer.key_a": `${mixer}.k_a`,
    "mixer.bonus": `${mixer}.r_k`,
    "mixer.norm.weight": { name: `${mixer}.g_norm.weight`, shape: [width] },
    "mixer.norm.bias": { name: `${mixer}.g_norm.bias`, shape: [width] },
    "channel_mixer.key.shift": `${block}.ffn.x_k`,
    "channel_mixer.key.weight": `${block}.ffn.key.weight`,
    "channel_mixer.value.weight": `${block}.ffn.value.weight`,
  };
}

function configure(
  vocabulary: number,
  width: number,
  hidden: number,
  count: number,
  { w: decay, a, v: valueMix, g: gate }: Ranks,
  mixer: Omit<Rwkv7Configuration, "kind" | "mixesValues" | "ranks">,
): ModelConfiguration {
  return {
    family: "rwkv7",
    vocabulary,
    width,
    norm: "layer",
    normEpsilon: EPSILON,
    embeddingNorm: true,
    layers: Array.from({ length: count }, (_, index) => ({
      mixer: {
        kind: "rwkv7",
        ...mixer,
        mixesValues: index > 0,
        ranks: { decay, a, valueMix, gate },
      },
      channelMixer: { kind: "rwkv7", hidden },
    })),
  };
}
