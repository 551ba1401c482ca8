/**
 * Values and names in errors.
 *
 * @module
 */
/** Characters of a value in an error. */
const SHOWN = 80;
/** Names of a list in an error. */
const NAMES_SHOWN = 8;
/** Control characters, which a terminal would obey, and halves of a character. */
const CONTROL = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/** A value as JSON, cut where it is long. */
export function showValue(value: unknown): string {
  // JSON has no infinities: they would read as null.
  const text = typeof value === "number" ? `${value}` : JSON.stringify(value) ?? `${value}`;
  const shown = text.slice(0, SHOWN).replace(CONTROL, escape);
  return text.length > SHOWN ? `${shown}…` : shown;
}

function escape(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** Names in an error: the first of them, each cut where it is long, and how many more there are. */
export function showNames(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map((name) => {
    const printable = name.slice(0, SHOWN).replace(CONTROL, escape);
    return name.length > SHOWN ? `${printable}…` : printable;
  });
  const rest = names.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
