import * as v from "valibot";
import {
  FLAG,
  LAYERS,
  LENGTH,
  oneOf,
  only,
  POSITIVE,
  SIZE,
  unsupported,
  VOCABULARY,
} from "../../schema.ts";
import { type ParameterSource, type PublishedModel, sourcesOf } from "./family.ts";

/** What the layouts of RWKV call the tensors that all versions have. */
export interface RwkvNames {
  /** The embedding. */
  readonly embedding: string;
  /** The norm behind it, which belongs to the first block. */
  readonly embeddingNorm: string;
  /** What the blocks' names begin with. */
  readonly blocks: string;
  /** The norms before a block's mixers. @default `ln1` and `ln2` */
  readonly blockNorms?: readonly [mixer: string, channelMixer: string];
  /** The norm before the head. */
  readonly norm: string;
  /** The head. @default `head` */
  readonly head?: string;
}

/** Where an RWKV's parameters are; `block` tells of a block's mixers, given what its names begin with. */
export function rwkvSources(
  names: RwkvNames,
  count: number,
  block: (name: string, index: number) => Readonly<Record<string, string | ParameterSource>>,
): Map<string, ParameterSource> {
  const { embedding, embeddingNorm, blocks, norm, head = "head" } = names;
  const [mixerNorm, channelNorm] = names.blockNorms ?? ["ln1", "ln2"];
  return sourcesOf(
    {
      "embedding.weight": `${embedding}.weight`,
      "embedding_norm.weight": `${embeddingNorm}.weight`,
      "embedding_norm.bias": `${embeddingNorm}.bias`,
      "norm.weight": `${norm}.weight`,
      "norm.bias": `${norm}.bias`,
      "head.weight": `${head}.weight`,
    },
    Array.from({ length: count }, (_, index) => ({
      "mixer_norm.weight": `${blocks}.${index}.${mixerNorm}.weight`,
      "mixer_norm.bias": `${blocks}.${index}.${mixerNorm}.bias`,
      "channel_norm.weight": `${blocks}.${index}.${channelNorm}.weight`,
      "channel_norm.bias": `${blocks}.${index}.${channelNorm}.bias`,
      ...block(`${blocks}.${index}`, index),
    })),
  );
}

/** The length that a file's name says its model was trained at: `RWKV-x060-…-ctx4096.pth`, `-ctx8k-`. */
export function lengthInName(file: string): number | undefined {
  const parsed = /-ctx(\d+)(k?)(?![^\W_])/i.exec(file);
  return parsed ? Number(parsed[1]) * (parsed[2] ? 1024 : 1) : undefined;
}

/** What fla calls the tensors that all versions have. */
export const FLA_NAMES: RwkvNames = {
  embedding: "model.embeddings",
  embeddingNorm: "model.layers.0.pre_norm",
  blocks: "model.layers",
  blockNorms: ["attn_norm", "ffn_norm"],
  norm: "model.norm",
  head: "lm_head",
};

/** What fla's configs say of all versions; `hidden_ratio` is a version's own. */
export const RWKV_FLA_FIELDS = {
  vocab_size: VOCABULARY,
  hidden_size: SIZE,
  num_hidden_layers: LAYERS,
  intermediate_size: v.nullish(SIZE),
  hidden_ratio: v.nullish(POSITIVE, 4),
  hidden_act: v.nullish(oneOf(["sqrelu"])),
  norm_first: only(true),
  norm_bias: only(true),
  norm_eps: v.nullish(POSITIVE, 1e-5),
  max_position_embeddings: v.nullish(LENGTH),
  tie_word_embeddings: v.nullish(FLAG, false),
  /** Hybrids are not supported. */
  attn: unsupported(),
};
const RWKV_FLA = v.object(RWKV_FLA_FIELDS);

/** What fla's configs say of all versions, in our words. */
export interface FlaConfiguration {
  /** Number of tokens. */
  readonly vocabulary: number;
  /** Width of the residual stream. */
  readonly width: number;
  /** Number of blocks. */
  readonly count: number;
  /** Width of the channel mixers. */
  readonly hidden: number;
  /** What the norms add to the variance. */
  readonly normEpsilon: number;
  /** Whether the head is the embedding. */
  readonly tiedHead: boolean;
  /** What a {@linkcode PublishedModel} says besides. */
  readonly rest: Pick<PublishedModel, "trainedLength">;
}

/** Reads what fla's configs say of all versions. */
export function readFla(config: v.InferOutput<typeof RWKV_FLA>): FlaConfiguration {
  const { hidden_size: width, max_position_embeddings: trainedLength } = config;
  const hidden = Math.floor(width * config.hidden_ratio);
  return {
    vocabulary: config.vocab_size,
    width,
    count: config.num_hidden_layers,
    hidden: config.intermediate_size ?? 32 * Math.ceil(hidden / 32),
    normEpsilon: config.norm_eps,
    tiedHead: config.tie_word_embeddings,
    rest: trainedLength ? { trainedLength } : {},
  };
}
