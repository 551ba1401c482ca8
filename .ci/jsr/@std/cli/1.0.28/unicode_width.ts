const ZERO = /^[\p{M}\p{Cf}\p{Cc}]$/u;
const WIDE =
  /^[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]$/u;

/** How many columns of a terminal a text takes. */
export function unicodeWidth(text: string): number {
  return [...text].reduce((sum, c) => sum + (ZERO.test(c) ? 0 : WIDE.test(c) ? 2 : 1), 0);
}
