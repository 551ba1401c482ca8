import { type ParameterSource, sourcesOf } from "./family.ts";

/** What the layouts of RWKV call the tensors that all versions have. */
export interface RwkvNames {
  /** The embedding. */
  readonly embedding: string;
  /** The norm behind it, which belongs to the first block. */
  readonly embeddingNorm: string;
  /** What the blocks' names begin with. */
  readonly blocks: string;
  /** The norms before a block's mixers; `ln1` and `ln2` unless told. */
  readonly blockNorms?: readonly [mixer: string, channelMixer: string];
  /** The norm before the head. */
  readonly norm: string;
  /** The head; `head` unless told. */
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
