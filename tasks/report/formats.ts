import { type Format, formatOf, HAYSTACK_KINDS, NEEDLE_KINDS } from "../generators/ruler/names.ts";
import type { Row } from "../sweep/rows.ts";
import { groupBy, poolTrainings } from "./curves.ts";
import { type DepthField, depthFields } from "./depth.ts";

/** A format's accuracy at a length and a depth; without a label where its depths are not told apart. */
export interface FormatField extends DepthField {
  /** The format in words. */
  readonly format: string;
}

/** One model's accuracy in every format that it was asked in, in the order of the grid. */
export function formatFields(rows: readonly Row[]): FormatField[] {
  const inOrder = ({ haystack, key, value }: Format): number =>
    (HAYSTACK_KINDS.indexOf(haystack) * NEEDLE_KINDS.length + NEEDLE_KINDS.indexOf(key)) *
      NEEDLE_KINDS.length +
    NEEDLE_KINDS.indexOf(value);
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
  ].map((cells) => ({ length: cells[0].length, depth: 0, label: "", ...poolTrainings(cells) }));
}
