import * as Plot from "@observablehq/plot";
import type { Look } from "../theme.ts";

/** A point of a picture. */
export interface XY {
  /** Along the length, or whatever the picture is against. */
  readonly x: number;
  /** The value. */
  readonly y: number;
}

/** A model's curve. */
export function line(data: readonly XY[], { colour, dashes }: Look): Plot.Markish {
  return Plot.line(data as XY[], {
    x: "x",
    y: "y",
    stroke: colour,
    strokeWidth: 2,
    ...(dashes === undefined ? {} : { strokeDasharray: dashes }),
    ariaDescription: "curve",
  });
}

/** A model's points, in its shape. */
export function dots(data: readonly XY[], { colour, symbol, hollow }: Look, r = 3.2): Plot.Markish {
  return Plot.dot(data as XY[], {
    x: "x",
    y: "y",
    r,
    symbol: symbol as Plot.SymbolType,
    fill: hollow ? "var(--paper)" : colour,
    stroke: colour,
    strokeWidth: hollow ? 1.8 : 0.5,
    ariaDescription: "point",
  });
}
