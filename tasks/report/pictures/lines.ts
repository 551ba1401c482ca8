import * as Plot from "@observablehq/plot";
import type { Curve } from "../curves.ts";
import type { ReportModel } from "../runs.ts";
import { type Look, tokens } from "../theme.ts";
import { drawChart } from "./chart.ts";
import { dots, line } from "./marks.ts";
import { distinct, type Picture, type Section } from "./picture.ts";
import { lengthScale, positionScale } from "./scales.ts";

/** Curves against length. */
export interface LinePicture {
  /** Its file's name. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly title: string;
  /** Where it stands. */
  readonly section: Section;
  /** The models' curves. */
  readonly curves: readonly Curve[];
  /** Dashed curves in the models' colours: what their windows allow. */
  readonly laws?: readonly Curve[];
  /** The models of the report. */
  readonly models: readonly ReportModel[];
  /** Their looks. */
  readonly look: ReadonlyMap<string, Look>;
  /** What guessers score. */
  readonly chances?: readonly number[];
  /** A bar that models are held against, and what it is called. */
  readonly bar?: { readonly value: number; readonly text: string };
  /** What the curves are against, where not the length. */
  readonly x?: string;
  /** The axis of the values. */
  readonly y: Plot.ScaleOptions;
}

/** Draws curves with their intervals, their window laws, chance, and the training lengths. */
export function linePicture(picture: LinePicture): Picture {
  const { name, title, section, curves, laws = [], look, y } = picture;
  const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
  const x = picture.x === undefined ? lengthScale(lengths) : positionScale(lengths, picture.x);
  const levels = levelMarks(picture);
  const trained = trainLengthMarks(picture, lengths);
  const svg = drawChart({
    look,
    title,
    legend: [
      ...curves.map(({ model }) => ({ model })),
      ...laws.map(({ model }) => ({ model, law: true })),
    ],
    marks: [
      ...levels.map(({ rule }) => rule),
      ...trained.map(({ rule }) => rule),
      ...curves.map(({ model, points }) =>
        Plot.areaY(points.filter(({ low, high }) => low <= high), {
          x: "length",
          y1: "low",
          y2: "high",
          fill: look.get(model)!.colour,
          fillOpacity: 0.13,
          ariaDescription: "interval",
        })
      ),
      ...laws.map(({ model, points }) =>
        Plot.line(points, {
          x: "length",
          y: "value",
          stroke: look.get(model)!.colour,
          strokeWidth: 1.5,
          strokeDasharray: "2,3",
          ariaDescription: "window law",
        })
      ),
      ...curves.flatMap(({ model, points }) => {
        const data = points.map(({ length, value }) => ({ x: length, y: value }));
        return [line(data, look.get(model)!), dots(data, look.get(model)!)];
      }),
      ...[...levels, ...trained].map(({ text }) => text),
    ],
    x,
    y,
  });
  return { name, section, title, svg };
}

/** A line with its text, which is drawn above the curves. */
interface Ruled {
  readonly rule: Plot.Markish;
  readonly text: Plot.Markish;
}

/** A dotted line at each training length within the plot; in a model's colour where it alone has it. */
function trainLengthMarks(
  { curves, models, look, chances = [] }: LinePicture,
  lengths: readonly number[],
): Ruled[] {
  const [shortest, longest] = [lengths[0], lengths.at(-1)!];
  const shown = models.filter(({ model }) => curves.some((curve) => curve.model === model));
  // The label of a low chance stands at the bottom, too.
  const above = chances.some((chance) => chance > 0 && chance < 0.1) ? 1 : 0;
  const all = distinct(shown.map(({ trainLength }) => trainLength));
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

/** Dashed lines across: chance, and the bar. */
function levelMarks({ chances = [], bar }: LinePicture): Ruled[] {
  const levels = [
    ...chances.filter((value) => value > 0).map((value) => ({ value, text: "chance" })),
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
