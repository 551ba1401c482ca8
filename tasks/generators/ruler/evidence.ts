import type { Wording } from "../../wording.ts";

/**
 * The token from which on a prompt can be read as it is behind some of its text: the first that differs
 * from the tokens of that text alone, so that a token which holds the end of one and the beginning of
 * the other counts.
 *
 * @param tokens The prompt's.
 * @param before What stands before, from the prompt's beginning on.
 */
export function tokenBehind(
  tokens: Uint32Array,
  before: string,
  { tokenizer, template }: Wording,
): number {
  const tokensBefore = tokenizer.encode(before, { special: template.special });
  let position = 0;
  while (position < tokensBefore.length && tokensBefore[position] === tokens[position]) position++;
  return Math.min(position, tokens.length - 1);
}
