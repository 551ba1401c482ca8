import type { TaskTokenizer } from "../../tasks/mod.ts";

/**
 * A tokenizer with about as many characters a token as a large vocabulary has, whose tokens are not
 * the sum of those of a text's parts: words with the space before them, cut after six letters, numbers
 * in threes, and two lines' ends in one.
 */
export function wordTokenizer(): TaskTokenizer {
  const numbers = new Map<string, number>();
  const texts: string[] = [];
  return {
    vocabulary: 2 ** 20,
    encode: (text) =>
      Uint32Array.from(text.match(/ ?[A-Za-z]{1,6}|\d{1,3}|\n\n?|[^]/g) ?? [], (piece) => {
        let number = numbers.get(piece);
        if (number === undefined) numbers.set(piece, number = texts.push(piece) - 1);
        return number;
      }),
    decode: (tokens) => Array.from(tokens, (token) => texts[token]).join(""),
  };
}
