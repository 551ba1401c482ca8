import { NEEDLE_FORMATS, RULER_TASKS } from "../generators/ruler/names.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";

/** The eight checkpoints of the paper: state-space models, linear RNNs, attention, hybrids. */
const MODELS = [
  "hf:state-spaces/mamba2-2.7b",
  "hf:state-spaces/mamba2attn-2.7b",
  "hf:state-spaces/transformerpp-2.7b",
  "hf:RWKV/rwkv-6-world-3b",
  "hf:princeton-nlp/Sheared-LLaMA-2.7B",
  "hf:princeton-nlp/Sheared-LLaMA-2.7B-ShareGPT",
  "hf:google/recurrentgemma-2b",
  "hf:google/recurrentgemma-2b-it",
] as const;

const DEPTHS = [0, 0.2, 0.4, 0.5, 0.6, 0.8, 1];

/** The paper asks one seed of 250 samples; the same samples thrice as often say how sure it is. */
const PAPER = {
  models: MODELS,
  depths: [],
  loads: [],
  templates: ["base"],
  seeds: [0, 1, 2],
  samples: 250,
} satisfies Partial<SweepConfiguration>;

/** Every haystack with every kind of key and of value: the paper's table 4. */
const FORMAT_TASKS: readonly string[] = NEEDLE_FORMATS.filter((name) =>
  !/^niah_[a-z]+_number_/.test(name)
);

/**
 * The experiments of Huang, "How Well Can a Long Sequence Model Model Long Sequences?" (COLING 2025),
 * with the seeds and intervals that it left out.
 */
export const PAPER_SWEEPS: Readonly<Record<string, SweepConfiguration>> = {
  /** Table 1: the mean of the 13 tasks by length. */
  "paper-length": {
    ...PAPER,
    name: "paper-length",
    tasks: RULER_TASKS,
    lengths: [1024, 2048, 4096, 8192, 16384],
  },
  /** Tables 2 and 3: the needle at fixed depths, at the training length and at twice that. */
  "paper-depth": {
    ...PAPER,
    name: "paper-depth",
    tasks: RULER_TASKS.filter((name) => name.startsWith("niah_")),
    lengths: ["1x", "2x"],
    depths: DEPTHS,
  },
  /** Table 4: what the haystack, the key and the value are made of. */
  "paper-format": {
    ...PAPER,
    name: "paper-format",
    tasks: FORMAT_TASKS,
    lengths: ["1x", "2x"],
    depths: DEPTHS,
  },
};
