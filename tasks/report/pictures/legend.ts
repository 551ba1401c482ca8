import * as Plot from "@observablehq/plot";
import type { Look } from "../theme.ts";
import { dots } from "./marks.ts";
import { DOCUMENT, element, type LegendItem, WIDTH } from "./picture.ts";

/** How the laws' lines are dashed. */
export const LAW_DASHES = { window: "2,3", stacked: "6,2,1,2", distance: "7,3,2,3" } as const;

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

/** Draws an item of a legend at its place; in grey where it is of no model. */
export function drawLegendItem(
  svg: SVGElement,
  item: LegendItem,
  { place, look }: { readonly place: LegendPlace; readonly look: Look | undefined },
): void {
  const group = element(svg, "g", {
    transform: `translate(${place.x + LEFT},${14 + place.row * LEGEND_LINE})`,
    "aria-label": "legend",
  });
  drawSwatch(group, item, look);
  const text = element(group, "text", {
    x: 21,
    dy: "0.35em",
    fill: "var(--ink)",
    "text-anchor": "start",
  });
  text.textContent = shorten(legendText(item), Math.floor((WIDTH - LEFT - 21 - place.x) / LETTER));
}

/** An item's line and point as SVG, for a legend in HTML. */
export function swatch(item: LegendItem, look: Look | undefined): string {
  const svg = DOCUMENT.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of [["viewBox", "0 -8 16 16"], ["width", "16"], ["height", "16"]]) {
    svg.setAttribute(name, value);
  }
  svg.setAttribute("aria-hidden", "true");
  drawSwatch(svg, item, look);
  return svg.outerHTML;
}

function drawSwatch(parent: Element, { law, dashes }: LegendItem, look: Look | undefined): void {
  const dashed = law === undefined ? dashes ?? look?.dashes : LAW_DASHES[law];
  element(parent, "line", {
    x2: 16,
    stroke: look?.colour ?? "var(--muted)",
    "stroke-width": law || !look ? 1.5 : 2,
    ...(dashed === undefined ? {} : { "stroke-dasharray": dashed }),
  });
  if (law || !look) return;
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
  dot.removeAttribute("class");
  const holder = element(parent, "g", { transform: "translate(0,-8)" });
  holder.append(dot);
}

/** What a legend says of an item. */
export function legendText({ model, note, law }: LegendItem): string {
  if (law === "window") return `${model}’s window law`;
  if (law === "stacked") return `${model}’s stacked windows`;
  return note ? `${model} ${note}` : model;
}

function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  const half = Math.floor((most - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
