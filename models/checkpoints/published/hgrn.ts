import * as v from "valibot";
import { FLAG, only, POSITIVE } from "../../schema.ts";
import {
  isTransformers,
  type PublishedFamily,
  publishedFamily,
  type PublishedModel,
} from "./family.ts";
import { CONVOLUTION_FIELDS, FLA_FIELDS, readFla, streamSources } from "./fla.ts";
import { withLowerBounds } from "./hgrn2.ts";

const CONFIG = v.object({
  ...FLA_FIELDS,
  ...CONVOLUTION_FIELDS,
  expand_ratio: v.nullish(POSITIVE, 1),
  use_short_conv: v.nullish(FLAG, false),
  use_lower_bound: v.nullish(FLAG, true),
  elementwise_affine: only(true),
});

/** HGRN (Qin et al. 2023) in flash-linear-attention's layout; its lower bounds are as HGRN2's. */
export const hgrn: PublishedFamily = publishedFamily({
  sign: '"architectures": ["HGRNForCausalLM"]',
  matches: (config) => isTransformers(config, "HGRNForCausalLM", "hgrn"),
  schema: CONFIG,
  read(config, file): PublishedModel {
    const { hidden_size: width, use_lower_bound: bounded } = config;
    const channels = Math.trunc(width * config.expand_ratio);
    if (bounded && channels !== width) {
      file.failOn(
        "expand_ratio",
        "1 with lower bounds, of which there is one for each of the width",
      );
    }
    const convolution = config.use_short_conv ? config.conv_size : 0;
    const model = readFla(config, file, {
      family: "hgrn",
      mixer: { kind: "hgrn", channels, convolution, normEpsilon: config.norm_eps },
      sources: (attn) => ({
        ...streamSources(attn, { input: channels, forget: channels }, convolution),
        "mixer.gate.weight": `${attn}.g_proj.weight`,
        "mixer.norm.weight": `${attn}.g_norm.weight`,
        "mixer.output.weight": `${attn}.o_proj.weight`,
      }),
    });
    return bounded ? withLowerBounds(model, width) : model;
  },
});
