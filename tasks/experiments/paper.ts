import { NEEDLE_FORMATS, RULER_TASKS } from "../generators/ruler/names.ts";
import type { ModelEntry } from "../subjects/description.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";

/** The paper's checkpoints that are asked the question as it is: state space, hybrid, attention. */
const STATE_SPACES: readonly ModelEntry[] = [
  { model: "hf:state-spaces/mamba2-2.7b", trainLength: 2048 },
  { model: "hf:state-spaces/mamba2attn-2.7b", trainLength: 2048 },
  { model: "hf:state-spaces/transformerpp-2.7b", trainLength: 2048 },
];
/** In RWKV's conversation. */
const RWKV: readonly ModelEntry[] = [
  { model: "hf:RWKV/rwkv-6-world-3b-v2.1", template: "rwkv", trainLength: 4096 },
];
/** Both in an instruction, the base model too. */
const SHEARED_LLAMA: readonly ModelEntry[] = [
  { model: "hf:princeton-nlp/Sheared-LLaMA-2.7B", template: "sheared-llama", trainLength: 4096 },
  {
    model: "hf:princeton-nlp/Sheared-LLaMA-2.7B-ShareGPT",
    template: "sheared-llama",
    trainLength: 4096,
  },
];
/** RG-LRU beside a window of 2048, the one for instructions too asked the question as it is. */
const RECURRENT_GEMMA: readonly ModelEntry[] = [
  { model: "hf:google/recurrentgemma-2b", trainLength: 8192 },
  { model: "hf:google/recurrentgemma-2b-it", trainLength: 8192 },
];

/** The eight checkpoints of the paper. */
const MODELS = [...STATE_SPACES, ...RWKV, ...SHEARED_LLAMA, ...RECURRENT_GEMMA];

const SOURCE =
  'Huang 2025, "How Well Can a Long Sequence Model Model Long Sequences?" (COLING, arXiv 2407.08112), and its repository (jhuang265/RULER)';

/** What of all three is not the paper's, or not known. */
const DIFFERENCES = [
  "Three seeds of 250 samples, where the paper has one; --seeds 0 asks as many.",
  "The samples are drawn by Lengthwise's own generators of RULER's tasks, with the State of the Union addresses in place of Paul Graham's essays (--haystack takes those), and each begins at another sentence.",
  "Weights are kept in f32 and the likeliest token is taken; the paper's Mamba rows ran in bfloat16, and how they were decoded is not known (their settings give NaN in mamba_ssm's sampler).",
  "A reply ends at the model's end token; the paper's Mamba rows went on to the last token of the budget.",
  "Unverified: which revision of each checkpoint the paper took.",
];

/** The paper asks one seed of 250 samples; the same samples thrice as often say how sure it is. */
const PAPER = {
  models: MODELS,
  depths: [],
  loads: [],
  templates: ["base"],
  seeds: [0, 1, 2],
  samples: 250,
  source: SOURCE,
} satisfies Partial<SweepConfiguration>;

/** A number in noise, a number in essays, a UUID in essays: the formats of tables 2 to 4. */
const FORMATS = ["niah_single_1", "niah_single_2", "niah_single_3"];

/** Every haystack with every kind of value, and of key but for numbers. */
const ALL_FORMATS: readonly string[] = NEEDLE_FORMATS.filter((name) =>
  !/^niah_[a-z]+_number_/.test(name)
);

/** The training length and twice it, but for RecurrentGemma, which is asked at neither. */
const DEPTH_MODELS: readonly ModelEntry[] = MODELS.map((entry) => ({
  ...entry,
  lengths: RECURRENT_GEMMA.includes(entry) ? [2048, 4096] : ["1x", "2x"],
}));

/**
 * The experiments of the paper, with the seeds and intervals that it left out. What its tables say is
 * in `published/huang_2025.json`, and stands beside the results in the report.
 */
export const PAPER_SWEEPS: Readonly<Record<string, SweepConfiguration>> = {
  /** Table 1: the mean of the 13 tasks by length. */
  "paper-length": {
    ...PAPER,
    name: "paper-length",
    tasks: RULER_TASKS,
    lengths: [1024, 2048, 4096, 8192, 16384],
    differences: [
      ...DIFFERENCES,
      "cwe has its short recipe below 4096 tokens, as in RULER; where its long one does not fit from there on, the short one too.",
    ],
  },
  /** Tables 2 and 3: the needle at fixed depths, at the training length and at twice that. */
  "paper-depth": {
    ...PAPER,
    name: "paper-depth",
    models: DEPTH_MODELS,
    tasks: FORMATS,
    lengths: ["1x", "2x"],
    depths: [0, 0.2, 0.4, 0.5, 0.6, 0.8, 1],
    differences: [
      ...DIFFERENCES,
      "UUIDs are asked for as UUIDs; the paper's repository asks for numbers where the depth is fixed (--confounds uuid-numbers).",
      "All depths are asked in all three formats; the paper's committed launch script asks depths other than 0, 50 and 100% in noise alone.",
      "Unverified: that the columns of models other than RecurrentGemma are their training length and twice it.",
    ],
  },
  /** Table 4: what the haystack and the value are made of. */
  "paper-format": {
    ...PAPER,
    name: "paper-format",
    tasks: FORMATS,
    lengths: [1024, 2048, 4096],
    depths: [0, 0.5, 1],
    differences: [
      ...DIFFERENCES,
      "UUIDs are asked for as UUIDs; the paper's repository asks for numbers where the depth is fixed (--confounds uuid-numbers).",
    ],
  },
  /** Beyond table 4: the whole grid that its formats are of. */
  "paper-format-grid": {
    ...PAPER,
    name: "paper-format-grid",
    models: DEPTH_MODELS,
    tasks: ALL_FORMATS,
    lengths: ["1x", "2x"],
    depths: [0, 0.2, 0.4, 0.5, 0.6, 0.8, 1],
    differences: [
      ...DIFFERENCES,
      "Not an experiment of the paper's, whose formats are three: each haystack with each kind of key and value, at table 2 and 3's lengths and depths.",
    ],
  },
};

/** What the paper does that blurs what it shows, as options: by name, the options of tasks. */
export const CONFOUNDS: Readonly<
  Record<string, NonNullable<SweepConfiguration["taskOptions"]>>
> = {
  /** The fixed-depth tasks called after UUIDs ask for numbers. */
  "uuid-numbers": {
    "niah_single_3": { value: "number" },
    "niah_essay_word_uuid": { value: "number" },
  },
};
