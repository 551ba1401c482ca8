import { MODEL } from "../../configuration.ts";
import { check } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import { deltaNet } from "./delta_net.ts";
import type { BareFamily, PublishedFamily, PublishedModel } from "./family.ts";
import { gatedDeltaNet } from "./gated_deltanet.ts";
import { gla } from "./gla.ts";
import { hgrn2 } from "./hgrn2.ts";
import { lengthwise } from "./lengthwise.ts";
import { llama } from "./llama.ts";
import { mamba } from "./mamba.ts";
import { mamba2 } from "./mamba2.ts";
import { mambaSsm } from "./mamba_ssm.ts";
import { recurrentGemma } from "./recurrent_gemma.ts";
import { retNet } from "./retnet.ts";
import { rwkv6, rwkv6Bare } from "./rwkv6.ts";
import { rwkv6Fla } from "./rwkv6_fla.ts";
import { rwkv7, rwkv7Bare } from "./rwkv7.ts";
import type { CheckpointTensors } from "./tensors.ts";

const FAMILIES: readonly PublishedFamily[] = [
  lengthwise,
  llama,
  mamba,
  mamba2,
  mambaSsm,
  recurrentGemma,
  deltaNet,
  gatedDeltaNet,
  gla,
  hgrn2,
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
  return config.fail(
    `it must say one of ${FAMILIES.map(({ sign }) => sign).join("; ")}: current values are ${
      JSON.stringify({ architectures, model_type, format })
    }`,
  );
}

/** What a checkpoint without a config holds, where its tensors are of a known kind. */
export function readBare(tensors: CheckpointTensors): PublishedModel | undefined {
  const family = BARE_FAMILIES.find(({ sign }) => tensors.has(sign));
  return family && checked(family.read(tensors), tensors.source);
}

/** What a family makes of a checkpoint has sizes within bounds too, and nothing that is no number. */
function checked(model: PublishedModel, source: string): PublishedModel {
  check(MODEL, model.configuration, `${source} as a ${model.configuration.family} model`);
  return model;
}

/** @throws {Error} always: there is no config, and the tensors are of no known kind. */
export function failBare(tensors: CheckpointTensors): never {
  return tensors.fail(
    `there is no config.json beside it, and none of ${
      BARE_FAMILIES.map(({ sign }) => sign).join(", ")
    } in it, by which checkpoints without a config are told`,
  );
}
