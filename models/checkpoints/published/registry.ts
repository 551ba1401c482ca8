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
    return checked(family.read(config), config.source);
  }
  const { architectures, model_type, format } = config.values;
  refuseParts(config);
  return config.fail(
    `it is of no family that loads here, as it says ${
      JSON.stringify({ architectures, model_type, format })
    }: it must say one of ${FAMILIES.map(({ sign }) => sign).join("; ")}`,
  );
}

/** Parts that no model here has, by keys of a config that say how large they are. */
const REFUSED_PARTS: Readonly<Record<string, RegExp>> = {
  "a mixture of experts": /^(moe_)?num_(local_)?experts$|^n_routed_experts$/,
  "latent attention": /^kv_lora_rank$/,
};

/** @throws {Error} for a config of a model with a part that is not supported, saying what is. */
function refuseParts(config: CheckpointConfig): void {
  // A model with several towers describes the one for text within.
  const { text_config: text } = config.values;
  const sizes = [config.values, text ?? {}].flatMap((values) => Object.entries(values))
    .filter(([, value]) => typeof value === "number" && value > 0);
  for (const [part, pattern] of Object.entries(REFUSED_PARTS)) {
    const size = sizes.find(([key]) => pattern.test(key));
    if (size === undefined) continue;
    config.fail(
      `it has ${part} ("${size[0]}" is ${size[1]}), which is not supported: supported are ${
        FAMILIES.map(({ sign }) => sign).join("; ")
      }`,
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
