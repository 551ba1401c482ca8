import type { SweepConfiguration } from "./configuration.ts";

/** The 13 tasks of RULER (Hsieh et al. 2024, table 2). */
export const RULER_TASKS = [
  "niah_single_1",
  "niah_single_2",
  "niah_single_3",
  "niah_multikey_1",
  "niah_multikey_2",
  "niah_multikey_3",
  "niah_multivalue",
  "niah_multiquery",
  "vt",
  "cwe",
  "fwe",
  "qa_1",
  "qa_2",
] as const;

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
export const FORMAT_TASKS: readonly string[] = ["noise", "essay", "needle"].flatMap((haystack) =>
  ["word", "uuid"].flatMap((key) =>
    ["word", "number", "uuid"].map((value) => `niah_${haystack}_${key}_${value}`)
  )
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
