import * as v from "valibot";
import { HEADS, POSITIVE, SIZE } from "../../schema.ts";
import {
  isTransformers,
  type ParameterSource,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
  rowsOf,
} from "./family.ts";
import { FLA_NAMES, readFla, RWKV_FLA_FIELDS, rwkvSources } from "./rwkv.ts";

const CONFIG = v.object({
  ...RWKV_FLA_FIELDS,
  hidden_ratio: v.nullish(POSITIVE, 3.5),
  num_heads: HEADS,
  expand_k: v.nullish(POSITIVE, 0.5),
  expand_v: v.nullish(POSITIVE, 1),
  proj_low_rank_dim: v.nullish(SIZE, 32),
  gate_low_rank_dim: v.nullish(SIZE, 64),
});

/** The five streams as their parameters are called, in fla's order, with fla's letters. */
const STREAMS = [
  ["r", "receptance"],
  ["w", "decay"],
  ["k", "key"],
  ["v", "value"],
  ["g", "gate"],
] as const;
/** Places in fla's order, in the model's: decay, key, value, receptance, gate. */
const ORDER = [1, 2, 3, 0, 4];

/** RWKV-6 in fla's layout, as `fla-hub/rwkv6-*-finch` has it. */
export const rwkv6Fla: PublishedFamily = publishedFamily({
  sign: '"architectures": ["RWKV6ForCausalLM"]',
  matches: (config) => isTransformers(config, "RWKV6ForCausalLM", "rwkv6"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { width, count, vocabulary, hidden, normEpsilon, tiedHead, rest } = readFla(config);
    for (const key of ["expand_k", "expand_v"] as const) {
      if (config[key] !== 1) file.fail(`"${key}" must be 1: current value is ${config[key]}`);
    }
    const { num_heads: heads, proj_low_rank_dim: shiftRank } = config;
    return {
      ...rest,
      configuration: {
        family: "rwkv6",
        vocabulary,
        width,
        norm: "layer",
        normEpsilon,
        embeddingNorm: true,
        tiedHead,
        layers: Array(count).fill({
          mixer: {
            kind: "rwkv6",
            heads,
            headDim: file.divide({ hidden_size: width }, { num_heads: heads }),
            shiftRank,
            decayRank: config.gate_low_rank_dim,
            normEpsilon,
          },
          channelMixer: { kind: "rwkv6", hidden },
        }),
      },
      sources: rwkvSources(FLA_NAMES, count, (block) => flaBlock(block, width, shiftRank)),
    };
  },
});

function flaBlock(
  block: string,
  width: number,
  shiftRank: number,
): Record<string, string | ParameterSource> {
  const mixer = `${block}.attn`;
  const channels = `${block}.ffn`;
  const stacked = STREAMS.length * shiftRank;
  return {
    "mixer.shift": `${mixer}.x_proj.0.mu`,
    "mixer.shift.down.weight": {
      name: `${mixer}.x_proj.0.linear.weight`,
      shape: [stacked, width],
      map: (values) => inOrder(values, shiftRank * width),
    },
    ...Object.fromEntries(STREAMS.flatMap(([letter, stream], index) => [
      [
        `mixer.${stream}.shift`,
        rowsOf(`${mixer}.x_bias`, [STREAMS.length, width], [index, index + 1]),
      ],
      [
        `mixer.${stream}.shift.up.weight`,
        columnsOf(`${mixer}.x_proj.2.weight`, [width, stacked], index * shiftRank, shiftRank),
      ],
      ...(stream === "decay" ? [] : [
        [`mixer.${stream}.weight`, `${mixer}.${letter}_proj.linear.weight`],
      ]),
    ])),
    "mixer.decay.down.weight": `${mixer}.w_proj.linear.lora.0.weight`,
    "mixer.decay.up.weight": `${mixer}.w_proj.linear.lora.2.weight`,
    "mixer.decay.bias": `${mixer}.w_proj.linear.lora.2.bias`,
    "mixer.bonus": `${mixer}.bonus`,
    "mixer.norm.weight": { name: `${mixer}.g_norm.weight`, shape: [width] },
    "mixer.norm.bias": { name: `${mixer}.g_norm.bias`, shape: [width] },
    "mixer.output.weight": `${mixer}.o_proj.weight`,
    "channel_mixer.key.shift": `${channels}.key.mu`,
    "channel_mixer.key.weight": `${channels}.key.linear.weight`,
    "channel_mixer.receptance.shift": `${channels}.receptance.mu`,
    "channel_mixer.receptance.weight": `${channels}.receptance.linear.weight`,
    "channel_mixer.value.weight": `${channels}.value.weight`,
  };
}

/** The streams' equal parts in the model's order. */
function inOrder(values: Float32Array, size: number): Float32Array {
  const ordered = new Float32Array(values.length);
  ORDER.forEach((from, index) => {
    ordered.set(values.subarray(from * size, (from + 1) * size), index * size);
  });
  return ordered;
}

/** So many columns of a stored matrix from one on. */
function columnsOf(
  name: string,
  shape: readonly [rows: number, columns: number],
  from: number,
  count: number,
): ParameterSource {
  const [rows, columns] = shape;
  return {
    name,
    shape,
    map: (values): Float32Array => {
      const cut = new Float32Array(rows * count);
      for (let row = 0; row < rows; row++) {
        const start = row * columns + from;
        cut.set(values.subarray(start, start + count), row * count);
      }
      return cut;
    },
  };
}
