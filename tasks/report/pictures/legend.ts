import * as Plot from "@observablehq/plot";
import type { Look } from "../theme.ts";
import { dots } from "./marks.ts";
import { DOCUMENT, element, WIDTH } from "./picture.ts";

/** A line of a legend. */
export interface LegendItem {
  /** What the model is called. */
  readonly model: string;
  /** What is said of it besides. */
  readonly note?: string;
  /** Whether it is the window's law, not the model's own curve. */
  readonly law?: boolean;
}

/** How high a row of a legend is. */
export const LEGEND_LINE = 18;
/** A guess of how wide a letter is. */
const LETTER = 7.2;
const LEFT = 8;

/** Where an item of a legend stands. */
export interface LegendPlace {
  /** The row, counted from 0. */
  readonly row: number;
  /** From the left. */
  readonly x: number;
}

/** Lays a legend in rows. */
export function layLegend(items: readonly LegendItem[]): LegendPlace[] {
  let [row, x] = [0, 0];
  return items.map((item) => {
    const width = 36 + LETTER * legendText(item).length;
    if (x > 0 && LEFT + x + width > WIDTH) [row, x] = [row + 1, 0];
    const place = { row, x };
    x += width;
    return place;
  });
}

/** Draws an item of a legend at its place. */
export function drawLegendItem(
  svg: SVGElement,
  item: LegendItem,
  { place, look }: { readonly place: LegendPlace; readonly look: Look },
): void {
  const group = element(svg, "g", {
    transform: `translate(${place.x + LEFT},${14 + place.row * LEGEND_LINE})`,
    "aria-label": "legend",
  });
  const dashes = item.law ? "2,3" : look.dashes;
  element(group, "line", {
    x2: 16,
    stroke: look.colour,
    "stroke-width": item.law ? 1.5 : 2,
    ...(dashes === undefined ? {} : { "stroke-dasharray": dashes }),
  });
  if (!item.law) {
    const dot = Plot.plot({
      document: DOCUMENT,
      axis: null,
      width: 16,
      height: 16,
      margin: 0,
      x: { domain: [0, 1] },
      y: { domain: [0, 1] },
      marks: [dots([{ x: 0.5, y: 0.5 }], look)],
    }).querySelector('[aria-label="dot"]')!;
    dot.removeAttribute("aria-description");
    const holder = element(group, "g", { transform: "translate(0,-8)" });
    holder.append(dot);
  }
  const text = element(group, "text", {
    x: 21,
    dy: "0.35em",
    fill: "var(--ink)",
    "text-anchor": "start",
  });
  text.textContent = shorten(legendText(item), Math.floor((WIDTH - LEFT - 21 - place.x) / LETTER));
}

function legendText({ model, note, law }: LegendItem): string {
  return law ? `${model}’s window law` : note ? `${model} ${note}` : model;
}

function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
