import * as Plot from "@observablehq/plot";
import { tokens } from "../theme.ts";
import type { LinePicture } from "./line_picture.ts";
import { distinct } from "./picture.ts";

/** A line with its text, which is drawn above the curves. */
export interface Ruled {
  /** The line. */
  readonly rule: Plot.Markish;
  /** Its text. */
  readonly text: Plot.Markish;
}

/** A dotted line at each training length within the plot; in a model's colour where it alone has it. */
export function trainLengthMarks(
  { curves, models, look, chances = [] }: LinePicture,
  lengths: readonly number[],
): Ruled[] {
  const [shortest, longest] = [lengths[0], lengths.at(-1)!];
  const shown = models.filter(({ model }) => curves.some((curve) => curve.model === model));
  // The label of a low chance stands at the bottom, too.
  const above = chances.some((chance) => chance > 0 && chance < 0.1) ? 1 : 0;
  const all = distinct(shown.flatMap(({ trainLength }) => trainLength ?? []));
  return all.filter((length) => length >= shortest && length <= longest).map((length, i) => {
    const names = new Set(
      shown.filter(({ trainLength }) => trainLength === length).map(({ name }) => name),
    );
    const model = shown.find(({ trainLength }) => trainLength === length)!.model;
    const colour = all.length > 1 && names.size === 1 ? look.get(model)!.colour : "var(--muted)";
    const late = longest > shortest &&
      Math.log(length / shortest) / Math.log(longest / shortest) > 0.75;
    return {
      rule: Plot.ruleX([length], {
        stroke: colour,
        strokeWidth: 1.2,
        strokeDasharray: "1,3",
        ariaDescription: "training length",
      }),
      text: Plot.text([length], {
        x: (value) => value,
        text: (value) => `trained at ${tokens(value)}`,
        frameAnchor: "bottom",
        textAnchor: late ? "end" : "start",
        dx: late ? -4 : 4,
        dy: -4 - 12 * (i + above),
        fill: "var(--muted)",
        stroke: "var(--paper)",
        strokeWidth: 3,
        fontSize: 10,
      }),
    };
  });
}

/** Levels nearer to each other than this, as shares of the axis, have one label. */
const LABEL_HEIGHT = 0.06;

/** Dashed lines across: chance, guesses, and the bar. */
export function levelMarks({ chances = [], guesses = [], bar }: LinePicture): Ruled[] {
  const levels = [
    ...chances.filter((value) => value > 0).map((value) => ({ value, text: "chance" })),
    ...guesses.filter((value) => chances.every((chance) => value - chance > LABEL_HEIGHT))
      .map((value) => ({ value, text: "guess among the answers" })),
    ...(bar === undefined ? [] : [bar]),
  ];
  return levels.map((level) => ({
    rule: Plot.ruleY([level.value], {
      stroke: "var(--muted)",
      strokeDasharray: "4,3",
      ariaDescription: "level",
    }),
    text: Plot.text([level], {
      y: "value",
      text: "text",
      frameAnchor: "right",
      textAnchor: "end",
      dy: -6,
      fill: "var(--muted)",
      stroke: "var(--paper)",
      strokeWidth: 3,
      fontSize: 10,
    }),
  }));
}
