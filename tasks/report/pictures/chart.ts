import * as Plot from "@observablehq/plot";
import { callNames, type Look } from "../theme.ts";
import { drawLegendItem, layLegend, LEGEND_LINE } from "./legend.ts";
import {
  type Drawing,
  element,
  type LegendItem,
  type PageLegendItem,
  render,
  type Tip,
  WIDTH,
} from "./picture.ts";

/** A picture with two axes and a legend. */
export interface Chart {
  /** What it shows, in a line. */
  readonly title: string;
  /** The models' looks. */
  readonly look: ReadonlyMap<string, Look>;
  /** What the legend says. */
  readonly legend: readonly LegendItem[];
  /** What is drawn. */
  readonly marks: Plot.Markish[];
  /** The axis along the bottom. */
  readonly x: Plot.ScaleOptions;
  /** The axis along the left. */
  readonly y: Plot.ScaleOptions;
  /** The values that a pointer finds. */
  readonly values: readonly ChartValue[];
  /** Words for a place along the bottom: "512 tokens". */
  readonly place: (x: number) => string;
}

/** A value of a chart, as a pointer finds it. */
export interface ChartValue {
  /** The model's label. */
  readonly model: string;
  /** Where it is along the bottom. */
  readonly x: number;
  /** Where it is along the left, by which the values of a place are ordered. */
  readonly y: number;
  /** In words. */
  readonly text: string;
}

const HEIGHT = 300;

/** Draws a chart as SVG: the legend on top, then the label of the values, then the plot. */
export function drawChart(chart: Chart): Drawing {
  const { title, look, legend: items, marks, x, y } = chart;
  const names = callNames(
    items.filter(({ model }) => look.has(model)).map(({ model }) => model),
    look,
  );
  const legend = items.map((item): PageLegendItem => ({
    ...item,
    model: names.get(item.model) ?? item.model,
    look: look.get(item.model),
  }));
  const places = layLegend(legend);
  const legendHeight = ((places.at(-1)?.row ?? 0) + 1) * LEGEND_LINE;
  const options: Plot.PlotOptions = {
    width: WIDTH,
    height: HEIGHT + legendHeight,
    marginTop: 38 + legendHeight,
    marginLeft: 62,
    marginRight: 20,
    marginBottom: 40,
    x: { labelAnchor: "center", labelArrow: "none", ...scaleOf(x), line: true },
    y: { grid: true, ...scaleOf(y), label: null },
    marks: [...axisMarks(x, y), ...marks],
  };
  let tips: Tip[] = [];
  const svg = render(options, title, (svg, position) => {
    const label = element(svg, "text", {
      x: 8,
      y: legendHeight + 22,
      fill: "var(--muted)",
      "text-anchor": "start",
    });
    label.textContent = String(y.label);
    legend.forEach((item, i) => drawLegendItem(svg, item, { place: places[i], look: item.look }));
    tips = tipsOf(chart, names, position);
  });
  return { svg, legend, legendHeight, tips };
}

/** What a pointer finds: the values of the nearest place, the greatest first. */
function tipsOf(
  { values, place, look }: Chart,
  names: ReadonlyMap<string, string>,
  position: (x: number) => number,
): Tip[] {
  const places = [...Map.groupBy(values, ({ x }) => x)].sort(([a], [b]) => a - b)
    .map(([x, found]) => ({ x, found, at: position(x) / WIDTH }));
  return places.map(({ x, found, at }, i) => {
    const left = i === 0 ? Math.max(0, at - 0.05) : (places[i - 1].at + at) / 2;
    const right = i === places.length - 1 ? Math.min(1, at + 0.05) : (at + places[i + 1].at) / 2;
    return {
      left,
      right,
      at,
      head: place(x),
      lines: found.toSorted((a, b) => b.y - a.y).map(({ model, text }) => ({
        look: look.get(model)!,
        name: names.get(model) ?? model,
        text,
      })),
    };
  });
}

/** Plot drops labels of logarithmic ticks as it sees fit: ours are few and all to be read. */
function hasOwnTicks(scale: Plot.ScaleOptions): boolean {
  return Array.isArray(scale.ticks);
}

function scaleOf(scale: Plot.ScaleOptions): Plot.ScaleOptions {
  return hasOwnTicks(scale) ? { ...scale, axis: null, grid: false } : scale;
}

function axisMarks(x: Plot.ScaleOptions, y: Plot.ScaleOptions): Plot.Markish[] {
  const texts = ({ tickFormat }: Plot.ScaleOptions): { text: (tick: number) => string } => ({
    text: (tick) => typeof tickFormat === "function" ? tickFormat(tick, 0) : String(tick),
  });
  return [
    ...(hasOwnTicks(y)
      ? [
        Plot.gridY(y.ticks as number[]),
        Plot.axisY(y.ticks as number[], { ...texts(y), label: null }),
      ]
      : []),
    ...(hasOwnTicks(x)
      ? [
        Plot.axisX(x.ticks as number[], {
          ...texts(x),
          label: x.label,
          labelAnchor: "center",
          labelArrow: "none",
        }),
      ]
      : []),
  ];
}
