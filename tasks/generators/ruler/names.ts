/** RULER's 13 tasks (Hsieh et al. 2024, table 2), as its `synthetic.yaml` calls them. */
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

/** RULER's bar: Llama-2-7B's mean at its 4096 tokens (Hsieh et al. 2024, section 4). */
export const EFFECTIVE = 0.856;

/** What needles lie in: five sentences over and over, essays, or other needles. */
export type HaystackKind = "noise" | "essay" | "needle";

/** What a needle's key or value is. */
export type NeedleKind = "word" | "number" | "uuid";

/** The name of one of RULER's tasks, or of a needle of another format: `niah_essay_word_uuid`. */
export type RulerName =
  | typeof RULER_TASKS[number]
  | `niah_${HaystackKind}_${NeedleKind}_${NeedleKind}`;

/** Every haystack with every kind of key and of value: the grid of Huang 2025, table 4. */
export const NEEDLE_FORMATS: readonly (RulerName & `niah_${string}`)[] =
  (["noise", "essay", "needle"] as const).flatMap((haystack) =>
    (["word", "number", "uuid"] as const).flatMap((key) =>
      (["word", "number", "uuid"] as const).map((value) =>
        `niah_${haystack}_${key}_${value}` as const
      )
    )
  );
