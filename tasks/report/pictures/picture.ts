import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { shortened } from "../../names.ts";
import { escape } from "../html.ts";
import { literalColours, type Look } from "../theme.ts";

/** A picture as it was drawn. */
export interface Drawing {
  /** The picture, for a page that has the theme's variables. */
  readonly svg: string;
  /** Its legend, which stands at the top of the SVG; a page has its own in its place. */
  readonly legend?: readonly PageLegendItem[];
  /** How high the SVG's legend is, in its units. */
  readonly legendHeight?: number;
  /** What a pointer finds. */
  readonly tips?: readonly Tip[];
}

/** A line of a legend. */
export interface LegendItem {
  /** What the model is called, or the line that is of no model. */
  readonly model: string;
  /** What is said of it besides. */
  readonly note?: string;
  /** Whether it is a law of the model's sight, and which, not the model's own curve. */
  readonly law?: "window" | "stacked";
  /** The dashes of a line that is of no model. */
  readonly dashes?: string;
}

/** An item of a legend with the look of its model, where it is of one. */
export interface PageLegendItem extends LegendItem {
  /** The model's look. */
  readonly look: Look | undefined;
}

/** The values at one place of a chart, shown while a pointer is near. */
export interface Tip {
  /** Where the place begins, as a share of the picture's width. */
  readonly left: number;
  /** Where it ends. */
  readonly right: number;
  /** Where its values are. */
  readonly at: number;
  /** The place in words. */
  readonly head: string;
  /** The values. */
  readonly lines: readonly { readonly look: Look; readonly name: string; readonly text: string }[];
}

/** One picture of a report. */
export interface Picture extends Drawing {
  /** Its file's name, without `.svg`. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly title: string;
  /** Where it stands in the report. */
  readonly section: Section;
  /** The heading that it stands under in its section, where that has several, and its title there. */
  readonly group?: { readonly heading: string; readonly caption: string };
  /** The task that it is of, where of one. */
  readonly task?: string;
  /** The model that it is of, where of one. */
  readonly model?: string;
  /** What is to be said of it, a sentence each. */
  readonly notes?: readonly string[];
  /** Whether it is wider than a column of the page: it takes a row, and scrolls on a small screen. */
  readonly wide?: boolean;
}

/** A part of the report. */
export type Section =
  | "mean"
  | "published"
  | "state"
  | "accuracy"
  | "distance"
  | "formats"
  | "depth"
  | "matched"
  | "forms"
  | "memory"
  | "perplexity"
  | "cost";

/** How wide a picture is that fits a column of the page, in units of the SVG. */
export const WIDTH = 440;
/** The size of text, in units of the SVG. */
export const FONT = 12;

/** The document in which pictures are made. */
export const DOCUMENT = parseHTML("<html><body></body></html>").document as unknown as Document;

/**
 * A plot as SVG, with its title for those who do not see it.
 *
 * @param decorate Adds what the plotting library does not draw; it is given where an x stands.
 */
export function render(
  options: Plot.PlotOptions,
  title: string,
  decorate: (svg: SVGElement, position: (x: number) => number) => void = () => {},
): string {
  const plot = Plot.plot({
    ...options,
    document: DOCUMENT,
    className: "picture",
    style: { fontSize: `${FONT}px`, color: "var(--ink)", overflow: "visible" },
  });
  const svg = plot as unknown as SVGElement;
  svg.setAttribute("role", "img");
  // The page and the stand-alone file bring their own rules.
  for (const style of svg.querySelectorAll("style")) style.remove();
  decorate(svg, (x) => Number(plot.scale("x")!.apply(x)));
  return compact(labelled(svg, title));
}

/** Markup with places to the hundredth and colours in hexadecimal: as good, and a fifth shorter. */
function compact(svg: string): string {
  return svg
    .replaceAll(
      / (d|transform|[xy][12]?)="[^"]*"/g,
      (attribute) =>
        attribute.replaceAll(/\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2)))),
    )
    .replaceAll(
      /rgb\((\d+), (\d+), (\d+)\)/g,
      (_, ...parts) =>
        "#" + parts.slice(0, 3).map((part) => Number(part).toString(16).padStart(2, "0")).join(""),
    );
}

/** An SVG element as text with a label, which linkedom would not write as XML needs it. */
export function labelled(svg: Element, label: string): string {
  svg.removeAttribute("aria-label");
  return svg.outerHTML.replace("<svg", () => `<svg aria-label="${escape(label)}"`);
}

/** Adds an SVG element to another. */
export function element(
  parent: Element,
  name: string,
  attributes: Readonly<Record<string, string | number>>,
): Element {
  const child = DOCUMENT.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) {
    child.setAttribute(attribute, String(value));
  }
  parent.append(child);
  return child;
}

/** The fonts of stand-alone pictures; the first two are as wide as each other. */
export const FONT_FAMILY = "DejaVu Sans, Verdana, sans-serif";

/**
 * A picture as a file of its own: with its title, a white background, the colours themselves and named
 * fonts, so that it looks the same wherever it is shown.
 */
export function standAlone({ svg, title }: Pick<Picture, "svg" | "title">): string {
  const { document } = parseHTML(literalColours(svg));
  const root = document.querySelector("svg")!;
  const [width, height] = root.getAttribute("viewBox")!.split(" ").slice(2).map(Number);
  const space = 30;
  root.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  root.setAttribute("viewBox", `0 ${-space} ${width} ${height + space}`);
  root.setAttribute("width", String(width));
  root.setAttribute("height", String(height + space));
  const head = parseHTML(literalColours(
    `<svg><style>svg{font-family:${FONT_FAMILY}}</style><rect y="${-space}" width="${width}" height="${
      height + space
    }" fill="var(--paper)"/><text x="8" y="-9" text-anchor="start" font-size="14" font-weight="600" fill="var(--ink)"></text></svg>`,
  )).document.querySelector("svg")!;
  head.querySelector("text")!.textContent = title;
  root.prepend(...head.childNodes);
  return labelled(root, title);
}

/** A text as a part of a file's name. */
export function slug(text: string): string {
  return shortened(text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, ""));
}

/** The different values, in order. */
export function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
