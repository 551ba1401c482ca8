import { MODEL } from "../../configuration.ts";
import { check } from "../../schema.ts";
import { bamba } from "./bamba.ts";
import type { CheckpointConfig } from "./config.ts";
import { deltaNet } from "./delta_net.ts";
import type { BareFamily, PublishedFamily, PublishedModel } from "./family.ts";
import { falconH1 } from "./falcon_h1.ts";
import { gatedDeltaNet } from "./gated_deltanet.ts";
import { gatedDeltaProduct } from "./gated_deltaproduct.ts";
import { gemma2, gemma3, gemma3Towers } from "./gemma.ts";
import { gla } from "./gla.ts";
import { graniteHybrid } from "./granite.ts";
import { hgrn } from "./hgrn.ts";
import { hgrn2 } from "./hgrn2.ts";
import { kda } from "./kda.ts";
import { lengthwise } from "./lengthwise.ts";
import { lfm2 } from "./lfm2.ts";
import { llama } from "./llama.ts";
import { falconMamba, mamba } from "./mamba.ts";
import { mamba2 } from "./mamba2.ts";
import { mambaSsm } from "./mamba_ssm.ts";
import { mistral } from "./mistral.ts";
import { nemotronH } from "./nemotron_h.ts";
import { olmoHybrid } from "./olmo_hybrid.ts";
import { qwen2, qwen3 } from "./qwen.ts";
import { qwen3_5, qwen3_5Text } from "./qwen3_5.ts";
import { recurrentGemma } from "./recurrent_gemma.ts";
import { retNet } from "./retnet.ts";
import { rwkv6, rwkv6Bare } from "./rwkv6.ts";
import { rwkv6Fla } from "./rwkv6_fla.ts";
import { rwkv7, rwkv7Bare } from "./rwkv7.ts";
import { smolLm3 } from "./smollm3.ts";
import { transformerFla } from "./transformer_fla.ts";
import type { CheckpointTensors } from "./tensors.ts";

const FAMILIES: readonly PublishedFamily[] = [
  lengthwise,
  llama,
  qwen2,
  qwen3,
  qwen3_5Text,
  qwen3_5,
  olmoHybrid,
  mistral,
  smolLm3,
  gemma2,
  gemma3,
  gemma3Towers,
  mamba,
  falconMamba,
  mamba2,
  mambaSsm,
  graniteHybrid,
  bamba,
  falconH1,
  nemotronH,
  lfm2,
  recurrentGemma,
  deltaNet,
  gatedDeltaNet,
  gla,
  gatedDeltaProduct,
  kda,
  hgrn,
  hgrn2,
  transformerFla,
  retNet,
  rwkv6,
  rwkv6Fla,
  rwkv7,
];
const BARE_FAMILIES: readonly BareFamily[] = [rwkv6Bare, rwkv7Bare];

/** What a checkpoint with this config holds. @throws {Error} that lists the known kinds for another. */
export function readPublished(config: CheckpointConfig): PublishedModel {
  const family = FAMILIES.find((family) => family.matches(config));
  if (family) {
    for (const key of ["quantization_config", "compression_config"]) {
      if (config.has(key)) config.failOn(key, "absent, as quantized weights are not supported");
    }
    if (!family.refusesParts) {
      refuseParts(config, REFUSED_PARTS, `${family.sign} is where it has none`);
    }
    return checked(family.read(config), config.source);
  }
  const { architectures, model_type, format } = config.values;
  const signs = FAMILIES.map(({ sign }) => sign).join("; ");
  refuseParts(config, [...REFUSED_PARTS, EXPERT_WIDTH], `supported are ${signs}`);
  return config.fail(
    `it is of no family that loads here, as it says ${
      JSON.stringify({ architectures, model_type, format })
    }: it must say one of ${signs}`,
  );
}

/** A part that no model here has, and the keys of a config that say how large it is. */
interface RefusedPart {
  readonly part: string;
  readonly keys: RegExp;
  /** The least size at which there is one: a single expert is a perceptron. */
  readonly least: number;
}

const REFUSED_PARTS: readonly RefusedPart[] = [
  {
    part: "a mixture of experts",
    keys: /^(moe_)?num_(local_|routed_)?experts$|^n_routed_experts$/,
    least: 2,
  },
  { part: "latent attention", keys: /^kv_lora_rank$/, least: 1 },
];
/** What says so in a config that leaves the number of experts open, as Dots1's does by default. */
const EXPERT_WIDTH: RefusedPart = {
  part: "a mixture of experts",
  keys: /^moe_intermediate_size$/,
  least: 1,
};
/** Under which a config describes its model of text, or that model's perceptrons. */
const INNER_CONFIG = /^(text|language|llm|thinker|ffn)_config$/;

/** The numbers of a config by key, with those of the configs within it that are of the model of text. */
function sizesOf(values: object): [key: string, size: number][] {
  return Object.entries(values).flatMap(([key, value]) => {
    if (typeof value === "number") return [[key, value]];
    const isInner = typeof value === "object" && value !== null && INNER_CONFIG.test(key);
    return isInner ? sizesOf(value) : [];
  });
}

/**
 * @param instead What is supported, for the error.
 * @throws {Error} for a config of a model with one of these parts.
 */
function refuseParts(
  config: CheckpointConfig,
  parts: readonly RefusedPart[],
  instead: string,
): void {
  const sizes = sizesOf(config.values);
  for (const { part, keys, least } of parts) {
    const found = sizes.find(([key, size]) => keys.test(key) && size >= least);
    if (found === undefined) continue;
    config.fail(
      `it has ${part} ("${found[0]}" is ${found[1]}), which is not supported: ${instead}`,
    );
  }
}

/** What a checkpoint without a config holds, where its tensors are of a known kind. */
export function readBare(tensors: CheckpointTensors): PublishedModel | undefined {
  const family = BARE_FAMILIES.find(({ sign }) => tensors.has(sign));
  return family && checked(family.read(tensors), tensors.source);
}

/** What a family makes of a checkpoint has sizes within bounds too, and nothing that is not a number. */
function checked(model: PublishedModel, source: string): PublishedModel {
  check(MODEL, model.configuration, `${source} as a ${model.configuration.family} model`);
  return model;
}

/** @throws {Error} always: there is no config, and the tensors are of no known kind. */
export function failBare(tensors: CheckpointTensors): never {
  return tensors.fail(
    `there is no config.json beside it, and none of ${
      BARE_FAMILIES.map(({ sign }) => sign).join(", ")
    } in it, by which checkpoints without a config are recognised`,
  );
}
