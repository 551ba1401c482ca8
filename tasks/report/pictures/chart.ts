import * as Plot from "@observablehq/plot";
import { callNames, type Look } from "../theme.ts";
import { drawLegendItem, layLegend, LEGEND_LINE, type LegendItem } from "./legend.ts";
import { element, render, WIDTH } from "./picture.ts";

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
}

const HEIGHT = 300;

/** Draws a chart as SVG: the legend on top, then the label of the values, then the plot. */
export function drawChart({ title, look, legend: items, marks, x, y }: Chart): string {
  const names = callNames(items.map(({ model }) => model), look);
  const legend = items.map((item) => ({
    ...item,
    model: names.get(item.model)!,
    look: look.get(item.model)!,
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
  return render(options, title, (svg) => {
    const label = element(svg, "text", {
      x: 8,
      y: legendHeight + 22,
      fill: "var(--muted)",
      "text-anchor": "start",
    });
    label.textContent = String(y.label);
    legend.forEach((item, i) => drawLegendItem(svg, item, { place: places[i], look: item.look }));
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
