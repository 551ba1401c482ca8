import * as Plot from "@observablehq/plot";
import type { Curve } from "../curves.ts";
import { type Look, tokens, withInterval } from "../theme.ts";
import { type ChartValue, drawChart } from "./chart.ts";
import type { LinePicture } from "./line_picture.ts";
import { LAW_DASHES } from "./legend.ts";
import { dots, line, trainingLine } from "./marks.ts";
import { distinct, type LegendItem, type Picture } from "./picture.ts";
import { lengthScale, positionScale } from "./scales.ts";
import { levelMarks, trainLengthMarks } from "./rules.ts";

/** Draws curves with their intervals, trainings and laws, chance, and the training lengths. */
export function linePicture(picture: LinePicture): Picture {
  const { name, title, section, task, notes, curves, laws = [], stacked = [] } = picture;
  const { distanceLaws = [], look, y, format } = picture;
  const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
  const x = picture.x === undefined ? lengthScale(lengths) : positionScale(lengths, picture.x);
  const levels = levelMarks(picture);
  const trained = trainLengthMarks(picture, lengths);
  const drawing = drawChart({
    look,
    title,
    legend: legendOf(curves, laws, stacked, distanceLaws),
    marks: [
      ...levels.map(({ rule }) => rule),
      ...trained.map(({ rule }) => rule),
      ...curves.map(({ model, points }) =>
        Plot.areaY(points.filter(({ low, high }) => low <= high), {
          x: "length",
          y1: "low",
          y2: "high",
          fill: look.get(model)!.colour,
          fillOpacity: points.some(({ trainings }) => trainings !== undefined) ? 0.07 : 0.13,
          ariaDescription: "interval",
          className: look.get(model)!.key,
        })
      ),
      ...distanceLaws.map((points) =>
        Plot.line(points, {
          x: "length",
          y: "value",
          stroke: "var(--muted)",
          strokeWidth: 1.5,
          strokeDasharray: LAW_DASHES.distance,
          ariaDescription: "distance law",
        })
      ),
      ...lawMarks(laws, look, "window"),
      ...lawMarks(stacked, look, "stacked"),
      ...curves.flatMap((curve) => trainingMarks(curve, picture)),
      ...curves.flatMap(({ model, points }) => {
        const data = points.map(({ length, value }) => ({ x: length, y: value }));
        return [line(data, look.get(model)!), dots(data, look.get(model)!)];
      }),
      ...[...levels, ...trained].map(({ text }) => text),
    ],
    x,
    y,
    values: curves.flatMap(({ model, points }) =>
      points.map((point): ChartValue => ({
        model,
        x: point.length,
        y: point.value,
        text: withInterval(point, format),
      }))
    ),
    place: (at) => picture.x === undefined ? `${tokens(at)} tokens` : `around ${Math.round(at)}`,
  });
  return {
    ...drawing,
    name,
    section,
    title,
    ...(task === undefined ? {} : { task }),
    ...(notes === undefined ? {} : { notes }),
  };
}

function legendOf(
  curves: readonly Curve[],
  laws: readonly Curve[],
  stacked: readonly Curve[],
  distanceLaws: readonly unknown[],
): LegendItem[] {
  return [
    ...curves.map(({ model }) => ({ model })),
    ...laws.map(({ model }) => ({ model, law: "window" as const })),
    ...stacked.map(({ model }) => ({ model, law: "stacked" as const })),
    ...(distanceLaws.length === 0
      ? []
      : [{ model: "right up to the training distance", dashes: LAW_DASHES.distance }]),
  ];
}

function lawMarks(
  laws: readonly Curve[],
  look: ReadonlyMap<string, Look>,
  which: "window" | "stacked",
): Plot.Markish[] {
  return laws.map(({ model, points }) =>
    Plot.line(points, {
      x: "length",
      y: "value",
      stroke: look.get(model)!.colour,
      strokeWidth: 1.5,
      strokeDasharray: LAW_DASHES[which],
      ariaDescription: `${which} law`,
      className: look.get(model)!.key,
    })
  );
}

/** A thin line for each training of a curve that is of several. */
function trainingMarks(
  { model, points }: Curve,
  { look, learning = [] }: LinePicture,
): Plot.Markish[] {
  const failed = learning.filter((one) => one.model === model).flatMap((one) => one.failed)
    .map(({ seed }) => seed);
  const values = points.flatMap(({ length, trainings = [] }) =>
    trainings.map(({ seed, value }) => ({ seed, x: length, y: value }))
  );
  return [...Map.groupBy(values, ({ seed }) => seed)].map(([seed, data]) =>
    trainingLine(data, look.get(model)!, !failed.includes(seed))
  );
}
