import type { ModelEntry } from "../subjects/description.ts";
import type { SweepConfiguration } from "../sweep/configuration.ts";

/** Where a model stands in a set that differs in its mixer and in how much attention is among it. */
export interface MatchedPlace {
  /** How large it is, and what it was trained on: `340M`. */
  readonly size: string;
  /** The mixer: `GLA`. */
  readonly mixer: string;
  /** Layers of the mixer to one of attention; `pure` without any. */
  readonly ratio: string;
}

/** The linear mixers of the hybrid set, and the layers of each to one of attention. */
const MIXERS = ["HGRN", "RetNet", "GLA", "HGRN2", "DeltaNet", "GatedDeltaNet"] as const;
const RATIOS = [24, 12, 6, 3] as const;
const SIZES = [["340M", "340M-20B"], ["1.3B", "1.3B-100B"]] as const;

/** Pure models whose names on the hub end otherwise than the others'. */
const BASELINES: readonly string[] = [
  "340M-20B-HGRN",
  "340M-20B-RetNet",
  "340M-20B-GLA",
  "340M-20B-HGRN2",
  "340M-20B-GatedDeltaNet",
];
/** Those that were found on the hub or in programs that load them; the others follow the pattern. */
const VERIFIED: readonly RegExp[] = [
  /^340M-20B-DeltaNet-/,
  /^340M-20B-GLA-hybrid-/,
  /^340M-20B-GatedDeltaNet-(pure|hybrid-[36]-)/,
  /^340M-20B-HGRN2-(pure|hybrid-[36]-)/,
  /^1\.3B-100B-DeltaNet-/,
  /^1\.3B-100B-(GatedDeltaNet|GLA|HGRN2|RetNet)-pure/,
  /^1\.3B-100B-(GLA|HGRN2|RetNet)-hybrid-3-/,
];

const HYBRIDS: readonly string[] = SIZES.flatMap(([, size]) =>
  MIXERS.flatMap((mixer) => {
    const stem = `${size}-${mixer}`;
    return [
      `${stem}-pure${BASELINES.includes(stem) ? "-baseline" : ""}`,
      ...RATIOS.map((ratio) => `${stem}-hybrid-${ratio}-1`),
    ];
  })
);

/** Whether a model's name on the hub is known, and not only of the pattern of the others'. */
function isVerified(name: string): boolean {
  return VERIFIED.some((pattern) => pattern.test(name));
}

/** Where a model stands in the hybrid set, by its name or path; undefined for other models. */
export function matchedPlace(name: string): MatchedPlace | undefined {
  const parsed = /(?:^|[/\\])(340M|1\.3B)-\d+B-(\w+)-(?:(pure)(?:-baseline)?|hybrid-(\d+-\d+))$/
    .exec(name);
  if (parsed === null) return undefined;
  const [, size, mixer, pure, ratio] = parsed;
  return { size, mixer, ratio: pure ?? ratio.replace("-", ":") };
}

/** What both sets are asked: memory without a prompt, and the recall of a needle. */
const ASKED = {
  tasks: ["forgetting-curve", "niah_single_1", "niah_multikey_1"],
  lengths: [1024, 2048, 4096, 8192, 16384],
  depths: [],
  loads: [],
  templates: ["base"],
  seeds: [0, 1, 2],
  samples: 50,
} satisfies Partial<SweepConfiguration>;

const FLA_SET = [
  "transformer-1.3B-100B",
  "gla-1.3B-100B",
  "retnet-1.3B-100B",
  "delta_net-1.3B-100B",
  "hgrn2-1.3B-100B",
  "mamba-1.3B-100B",
] as const;

/** A checkpoint that a sweep continues without where it is not there. */
function optional(model: string): ModelEntry {
  return { model, optional: true };
}

/**
 * Published checkpoints that differ in their mixers and share their data: what is compared is the
 * architecture.
 */
export const MATCHED_SWEEPS: Readonly<Record<string, SweepConfiguration>> = {
  "matched-fla": {
    ...ASKED,
    name: "matched-fla",
    source:
      "Checkpoints of flash-linear-attention (huggingface.co/fla-hub), 1.3B parameters and 100B tokens of SlimPajama each",
    differences: [
      "Unverified: RWKV-6 of this set. Its name follows the pattern of the others'; fla-hub's collection of RWKV-6 lists other sizes and data. The sweep continues without it where it is not there.",
      "Unverified: that all were trained at 2,048 tokens, as the configurations of GLA, RetNet and HGRN say.",
      "One training of each: what is seen is of these checkpoints, and says of their architectures what one training can.",
    ],
    models: [
      ...FLA_SET.map((name): ModelEntry => ({ model: `hf:fla-hub/${name}`, trainLength: 2048 })),
      { ...optional("hf:fla-hub/rwkv6-1.3B-100B"), trainLength: 2048 },
    ],
  },
  "matched-hybrid": {
    ...ASKED,
    name: "matched-hybrid",
    source:
      'Wang et al. 2025, "A Systematic Analysis of Hybrid Linear Attention" (arXiv 2507.06457): six mixers, pure and with one layer of attention to 24, 12, 6 and 3 of them, at 340M parameters and 20B tokens and at 1.3B and 100B of FineWeb-Edu (huggingface.co/m-a-p)',
    differences: [
      `Unverified, of the pattern of the others: the names ${
        HYBRIDS.filter((name) => !isVerified(name)).join(", ")
      }. The sweep continues without those that are not there.`,
      "The training length is what the checkpoints' configurations say; unverified whether all were trained at it.",
      "The set's transformers without a linear mixer are not among them.",
      "One training of each: what is seen is of these checkpoints, and says of their architectures what one training can.",
    ],
    models: HYBRIDS.map((name) => optional(`hf:m-a-p/${name}`)),
  },
};
