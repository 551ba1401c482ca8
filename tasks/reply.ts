/** What a reply in words is held against. */
export interface Reply {
  /** The most tokens that it may have. */
  readonly budget: number;
  /** What is looked for in it. */
  readonly references: readonly string[];
  /** Whether every reference is asked for, and the share found counts, or any one is enough. */
  readonly match: "all" | "any";
  /** Of each reference, the position of the prompt's token from which on it can be read there. */
  readonly evidence?: readonly number[];
}

/**
 * How much of what is due a reply holds, from 0 to 1: RULER's `string_match_all` and
 * `string_match_part` (Hsieh et al. 2024, section 3). Case does not matter, nor what surrounds a
 * reference; the spaces around a reply are left out, and control characters are line ends, as RULER's
 * `postprocess_pred` has it.
 */
export function scoreReply({ references, match }: Reply, text: string): number {
  // deno-lint-ignore no-control-regex
  const lower = text.trim().replace(/[\x00-\x1f]/g, "\n").trim().toLowerCase();
  return shareOf(references.map((reference) => lower.includes(reference.toLowerCase())), match);
}

/**
 * The score of a perfect model that sees the last `window` tokens of a prompt of `length` alone, and
 * its first `sinks`.
 */
export function visibleShare(
  { evidence = [], match }: Reply,
  length: number,
  window: number,
  sinks: number = 0,
): number {
  return shareOf(
    evidence.map((position) => length - position <= window || position < sinks),
    match,
  );
}

function shareOf(found: readonly boolean[], match: "all" | "any"): number {
  const count = found.filter((isFound) => isFound).length;
  return match === "any" ? Math.min(1, count) : count / found.length;
}
