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
export const HAYSTACK_KINDS = ["noise", "essay", "needle"] as const;

/** One of {@linkcode HAYSTACK_KINDS}. */
export type HaystackKind = typeof HAYSTACK_KINDS[number];

/** What a needle's key or value may be. */
export const NEEDLE_KINDS = ["word", "number", "uuid"] as const;

/** One of {@linkcode NEEDLE_KINDS}. */
export type NeedleKind = typeof NEEDLE_KINDS[number];

/** The name of one of RULER's tasks, or of a needle of another format: `niah_essay_word_uuid`. */
export type RulerName =
  | typeof RULER_TASKS[number]
  | `niah_${HaystackKind}_${NeedleKind}_${NeedleKind}`;

/** Every haystack with every kind of key and of value: the grid of Huang 2025, table 4. */
export const NEEDLE_FORMATS: readonly (RulerName & `niah_${string}`)[] = HAYSTACK_KINDS.flatMap((
  haystack,
) =>
  NEEDLE_KINDS.flatMap((key) =>
    NEEDLE_KINDS.map((value) => `niah_${haystack}_${key}_${value}` as const)
  )
);

/** The format of a needle in a haystack. */
export interface Format {
  /** What the needle lies in. */
  readonly haystack: HaystackKind;
  /** What is asked for by. */
  readonly key: NeedleKind;
  /** What is asked for. */
  readonly value: NeedleKind;
}

/** The format that a task's name says, as in `niah_essay_word_uuid`; nothing for other tasks. */
export function formatOf(task: string): Format | undefined {
  const [niah, haystack, key, value, ...more] = task.split("_");
  if (niah !== "niah" || more.length > 0 || !isOf(HAYSTACK_KINDS, haystack)) return undefined;
  return isOf(NEEDLE_KINDS, key) && isOf(NEEDLE_KINDS, value)
    ? { haystack, key, value }
    : undefined;
}

function isOf<Kind extends string>(kinds: readonly Kind[], text: string): text is Kind {
  return (kinds as readonly string[]).includes(text);
}
