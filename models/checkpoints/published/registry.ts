import type { CheckpointConfig } from "./config.ts";
import type { PublishedFamily, PublishedModel } from "./family.ts";
import { lengthwise } from "./lengthwise.ts";
import { llama } from "./llama.ts";
import { mamba } from "./mamba.ts";
import { mamba2 } from "./mamba2.ts";
import { mambaSsm } from "./mamba_ssm.ts";
import { recurrentGemma } from "./recurrent_gemma.ts";

const FAMILIES: readonly PublishedFamily[] = [
  lengthwise,
  llama,
  mamba,
  mamba2,
  mambaSsm,
  recurrentGemma,
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
