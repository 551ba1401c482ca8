import type { CheckpointConfig } from "./config.ts";
import { deltaNet } from "./delta_net.ts";
import type { PublishedFamily, PublishedModel } from "./family.ts";
import { gatedDeltaNet } from "./gated_deltanet.ts";
import { gla } from "./gla.ts";
import { lengthwise } from "./lengthwise.ts";
import { llama } from "./llama.ts";
import { mamba } from "./mamba.ts";
import { mamba2 } from "./mamba2.ts";
import { mambaSsm } from "./mamba_ssm.ts";
import { recurrentGemma } from "./recurrent_gemma.ts";
import { retNet } from "./retnet.ts";

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
  retNet,
];

/** What a checkpoint with this config holds. @throws {Error} that lists the known kinds for another. */
export function readPublished(config: CheckpointConfig): PublishedModel {
  const family = FAMILIES.find((family) => family.matches(config));
  if (family) return family.read(config);
  const { architectures, model_type, format } = config.values;
  return config.fail(
    `it must say one of ${FAMILIES.map(({ sign }) => sign).join("; ")}: current values are ${
      JSON.stringify({ architectures, model_type, format })
    }`,
  );
}
