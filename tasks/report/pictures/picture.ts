import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { shortened } from "../../names.ts";
import { escape } from "../html.ts";
import { THEME } from "../theme.ts";

/** One picture of a report. */
export interface Picture {
  /** Its file's name, without `.svg`. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly title: string;
  /** Where it stands in the report. */
  readonly section: Section;
  /** The heading that it stands under in its section, where that has several, and its title there. */
  readonly group?: { readonly heading: string; readonly caption: string };
  /** The picture, for a page that has the theme's variables. */
  readonly svg: string;
  /** Whether it is wider than a column of the page: it takes a row, and scrolls on a small screen. */
  readonly wide?: boolean;
}

/** A part of the report. */
export type Section = "mean" | "state" | "accuracy" | "formats" | "depth" | "perplexity" | "cost";

/** How wide a picture is that fits a column of the page, in units of the SVG. */
export const WIDTH = 440;
/** The size of text, in units of the SVG. */
export const FONT = 12;

/** The document in which pictures are made. */
export const DOCUMENT = parseHTML("<html><body></body></html>").document as unknown as Document;

/**
 * A plot as SVG, with its title for those who do not see it.
 *
 * @param decorate Adds what the plotting library does not draw.
 */
export function render(
  options: Plot.PlotOptions,
  title: string,
  decorate: (svg: SVGElement) => void = () => {},
): string {
  const svg = Plot.plot({
    ...options,
    document: DOCUMENT,
    className: "picture",
    style: { fontSize: `${FONT}px`, color: "var(--ink)", overflow: "visible" },
  }) as unknown as SVGElement;
  svg.setAttribute("role", "img");
  // The page and the stand-alone file bring their own rules.
  for (const style of svg.querySelectorAll("style")) style.remove();
  decorate(svg);
  return labelled(svg, title);
}

/** An SVG element as text with a label, which linkedom would not write as XML needs it. */
function labelled(svg: Element, label: string): string {
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

/** A picture as a file of its own: with its title and a background, in colours for light and dark. */
export function standAlone({ svg, title }: Picture): string {
  const { document } = parseHTML(svg);
  const root = document.querySelector("svg")!;
  const [width, height] = root.getAttribute("viewBox")!.split(" ").slice(2).map(Number);
  const space = 30;
  root.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  root.setAttribute("viewBox", `0 ${-space} ${width} ${height + space}`);
  root.setAttribute("width", String(width));
  root.setAttribute("height", String(height + space));
  const head = parseHTML(
    `<svg><style>${THEME}</style><rect y="${-space}" width="${width}" height="${
      height + space
    }" fill="var(--paper)"/><text x="8" y="-9" text-anchor="start" font-size="14" font-weight="600" fill="var(--ink)"></text></svg>`,
  ).document.querySelector("svg")!;
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
