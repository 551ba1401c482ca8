import * as Plot from "@observablehq/plot";
import { HEAT_SCHEME, withInterval } from "../theme.ts";
import { DOCUMENT, element, FONT } from "./picture.ts";

/** The colours of accuracies from 0 to 1. */
export const HEAT: Plot.ScaleOptions = { type: "linear", domain: [0, 1], scheme: HEAT_SCHEME };

const SCALE = Plot.scale({ color: HEAT });

/** The colour of an accuracy. */
function heatColour(value: number): string {
  return String(SCALE.apply(value));
}

const INKS = ["#14171a", "#ffffff"];

/** The ink that is read better on an accuracy's colour, by the contrast that WCAG 2.2 defines. */
export function inkOn(value: number): string {
  const paper = luminance(heatColour(value));
  const contrast = (ink: string): number => {
    const [dark, light] = [luminance(ink), paper].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  return INKS.reduce((best, ink) => contrast(ink) > contrast(best) ? ink : best);
}

/** Relative luminance of `#rrggbb` or `rgb(r, g, b)`. */
function luminance(colour: string): number {
  const parts = colour.startsWith("#")
    ? [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16))
    : colour.match(/\d+/g)!.map(Number);
  const [red, green, blue] = parts.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** What a field says of itself where it is pointed at. */
export function fieldTitle(
  { value, low, high, samples }: {
    readonly value: number;
    readonly low: number;
    readonly high: number;
    readonly samples: number;
  },
): string {
  return `${withInterval({ value, low, high })}, ${samples} samples`;
}

/** The key to the colours, as SVG. */
export function heatKey(): string {
  const [steps, step, left] = [20, 10, 8];
  const svg = DOCUMENT.createElementNS("http://www.w3.org/2000/svg", "svg");
  const width = 2 * left + steps * step;
  const attributes = { viewBox: `0 0 ${width} 32`, width, height: 32, role: "img" };
  for (const [name, value] of Object.entries(attributes)) svg.setAttribute(name, String(value));
  svg.setAttribute("aria-label", "colours of accuracies from 0 to 1");
  for (let i = 0; i < steps; i++) {
    const fill = heatColour((i + 0.5) / steps);
    element(svg, "rect", { x: left + i * step, width: step + 0.5, height: 14, fill });
  }
  const texts = [["0", left], ["accuracy", width / 2], ["1", width - left]] as const;
  for (const [text, x] of texts) {
    const label = element(svg, "text", {
      x,
      y: 28,
      fill: "var(--muted)",
      "font-size": FONT,
      "text-anchor": "middle",
    });
    label.textContent = text;
  }
  return svg.outerHTML;
}
