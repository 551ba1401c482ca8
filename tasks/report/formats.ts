import type { Row } from "../sweep/rows.ts";
import { groupBy, pool } from "./curves.ts";
import { type DepthField, depthFields } from "./depth.ts";

/** What the needle lies in, in the order of the grid. */
const HAYSTACKS = ["noise", "essay", "needle"];
/** What keys are, and what values are. */
const KINDS = ["word", "number", "uuid"];

/** The format of a needle in a haystack. */
export interface Format {
  /** What the needle lies in: noise, essays, or other needles. */
  readonly haystack: string;
  /** What is asked for by: a word, a number, a UUID. */
  readonly key: string;
  /** What is asked for. */
  readonly value: string;
}

/** The format that a task's name says, as in `niah_essay_word_uuid`; nothing for other tasks. */
export function formatOf(task: string): Format | undefined {
  const [niah, haystack, key, value, ...more] = task.split("_");
  if (niah !== "niah" || more.length > 0 || !HAYSTACKS.includes(haystack)) return undefined;
  return KINDS.includes(key) && KINDS.includes(value) ? { haystack, key, value } : undefined;
}

/** A format's accuracy at a length and a depth; without a label where its depths are not told apart. */
export interface FormatField extends DepthField {
  /** The format in words. */
  readonly format: string;
}

/** One model's accuracy in every format that it was asked in, in the order of the grid. */
export function formatFields(rows: readonly Row[]): FormatField[] {
  const inOrder = ({ haystack, key, value }: Format): number =>
    (HAYSTACKS.indexOf(haystack) * KINDS.length + KINDS.indexOf(key)) * KINDS.length +
    KINDS.indexOf(value);
  return [...groupBy(rows, ({ task }) => task)]
    .flatMap(([task, ofTask]) => {
      const format = formatOf(task);
      return format === undefined ? [] : [{ format, ofTask }];
    })
    .sort((a, b) => inOrder(a.format) - inOrder(b.format))
    .flatMap(({ format: { haystack, key, value }, ofTask }) => {
      const byDepth = depthFields(ofTask);
      const fields = byDepth.length > 0 ? byDepth : wholeFields(ofTask);
      return fields.map((field) => ({ ...field, format: `${haystack} · ${key} → ${value}` }));
    });
}

/** Fields by length alone. */
function wholeFields(rows: readonly Row[]): DepthField[] {
  return [
    ...groupBy(rows.filter(({ metric }) => metric === "accuracy"), ({ length }) => length).values(),
  ].map((cells) => ({ length: cells[0].length, depth: 0, label: "", ...pool(cells) }));
}
