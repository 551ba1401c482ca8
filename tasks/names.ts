import { crc32 } from "node:zlib";

/**
 * Characters that a terminal, a browser or XML does not show but acts on: control characters, marks
 * that turn the direction of a line, line separators, and what is not a character.
 */
// deno-lint-ignore no-control-regex
const UNSEEN = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffe\uffff]/g;

/** The longest part of a file's name that is made of another name. */
const LONGEST = 80;

/** A name on one line, with what cannot be seen in it spelled out: an escape is `\u001b`. */
export function visible(name: string): string {
  return name.toWellFormed().replace(UNSEEN, spelled);
}

/** A text of several lines, with what cannot be seen in it spelled out but for line ends and tabs. */
export function visibleText(text: string): string {
  return text.toWellFormed().replace(
    UNSEEN,
    (character) => character === "\n" || character === "\t" ? character : spelled(character),
  );
}

/**
 * A name, such as a model's path, as a part of a file's name. A long one is shortened, and ends with a
 * checksum of the whole.
 */
export function fileName(name: string): string {
  const safe = name.replaceAll(/[^\w.-]+/g, "-").replace(/^[.-]+/, "") || "unnamed";
  return shortened(safe, name);
}

/** The beginning of a text that is too long for a file's name, with a checksum of what it stands for. */
export function shortened(text: string, whole: string = text): string {
  if (text.length <= LONGEST) return text;
  const mark = crc32(whole).toString(16).padStart(8, "0");
  return `${text.slice(0, LONGEST - mark.length - 1)}-${mark}`;
}

function spelled(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
