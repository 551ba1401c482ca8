import * as Plot from "@observablehq/plot";
import { costsOf, groupBy } from "../curves.ts";
import type { TaskMean } from "../mean.ts";
import type { Recall } from "../recall.ts";
import type { Results } from "../runs.ts";
import { bytes, type Look, tokens, withInterval } from "../theme.ts";
import { drawChart } from "./chart.ts";
import { dots } from "./marks.ts";
import type { Picture } from "./picture.ts";
import { byteTicks, spanOf } from "./scales.ts";

const ACROSS = { type: "log", base: 2, label: "bytes of the state" } as const;

/** Recall at one task, load and length: a point per model, with its interval, at its state's size. */
export function recallPicture(recall: Recall, look: ReadonlyMap<string, Look>): Picture {
  return pointsPicture(recall, look, {
    name: "recall-state",
    what: "recall",
    y: { label: "accuracy", domain: [0, 1] },
  });
}

/** The same of the forgetting curve. */
export function memoryStatePicture(recall: Recall, look: ReadonlyMap<string, Look>): Picture {
  const { points } = recall;
  return pointsPicture(recall, look, {
    name: "memory-state",
    what: "memory of text",
    y: {
      label: "accuracy of copying less that of predicting",
      domain: spanOf([{ points: points.map((point) => ({ ...point, ...NOWHERE })) }]),
    },
  });
}

/** Of a point whose length and samples do not matter. */
const NOWHERE = { length: 0, samples: 0 };

function pointsPicture(
  { task, load, length, points }: Recall,
  look: ReadonlyMap<string, Look>,
  { name, what, y }: {
    readonly name: string;
    readonly what: string;
    readonly y: Plot.ScaleOptions;
  },
): Picture {
  const loaded = load === undefined || task.includes(", load ") ? task : `${task}, load ${load}`;
  const title = `${loaded}, at ${tokens(length)} tokens: ${what} against the size of the state`;
  const drawing = drawChart({
    look,
    title,
    legend: points.map(({ model }) => ({ model })),
    marks: points.flatMap(({ model, stateBytes, value, low, high }) => [
      Plot.ruleX(low <= high ? [{ low, high }] : [], {
        x: () => stateBytes,
        y1: "low",
        y2: "high",
        stroke: look.get(model)!.colour,
        strokeWidth: 1.5,
        strokeOpacity: 0.6,
        ariaDescription: "interval",
        className: look.get(model)!.key,
      }),
      dots([{ x: stateBytes, y: value }], look.get(model)!, 5),
    ]),
    x: { ...ACROSS, ...byteTicks(points.map(({ stateBytes }) => stateBytes)) },
    y,
    values: points.map((point) => ({
      model: point.model,
      x: point.stateBytes,
      y: point.value,
      text: withInterval(point),
    })),
    place: bytes,
  });
  return { ...drawing, name, section: "state", title };
}

/** A mean accuracy against the size of the state: a curve per model, a point per length. */
export function meanStatePicture(
  { rows }: Results,
  { name, title, curves }: TaskMean,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  const states = new Map(
    costsOf(rows, "state_bytes").map(({ model, points }) => [
      model,
      new Map(points.map(({ length, value }) => [length, value])),
    ]),
  );
  const data = curves.flatMap(({ model, points }) =>
    points.map((point) => ({ model, x: states.get(model)?.get(point.length) ?? 0, y: point.value }))
  ).filter(({ x }) => x > 0);
  if (data.length === 0) return [];
  const byModel = [...groupBy(data, ({ model }) => model)];
  const heading = `Mean accuracy over ${title} against the size of the state`;
  const drawing = drawChart({
    look,
    title: heading,
    legend: byModel.map(([model]) => ({ model })),
    marks: byModel.flatMap(([model, points]) => [
      Plot.line(points, {
        x: "x",
        y: "y",
        stroke: look.get(model)!.colour,
        strokeOpacity: 0.5,
        ariaDescription: "curve",
        className: look.get(model)!.key,
      }),
      dots(points, look.get(model)!),
    ]),
    x: { ...ACROSS, ...byteTicks(data.map(({ x }) => x)) },
    y: { label: "mean accuracy", domain: [0, 1] },
    values: data.map(({ model, x, y }) => ({ model, x, y, text: y.toFixed(2) })),
    place: bytes,
  });
  return [{ ...drawing, name: `state-${name}`, section: "state", title: heading }];
}
