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
export function line(data: readonly XY[], { key, colour, dashes }: Look): Plot.Markish {
  return Plot.line(data as XY[], {
    x: "x",
    y: "y",
    stroke: colour,
    strokeWidth: 2,
    ...(dashes === undefined ? {} : { strokeDasharray: dashes }),
    ariaDescription: "curve",
    className: key,
  });
}

/** The curve of one of a model's trainings; dashed where it did not learn. */
export function trainingLine(
  data: readonly XY[],
  { key, colour }: Look,
  learned: boolean,
): Plot.Markish {
  return Plot.line(data as XY[], {
    x: "x",
    y: "y",
    stroke: colour,
    strokeWidth: 1,
    strokeOpacity: 0.55,
    ...(learned ? {} : { strokeDasharray: "2,2" }),
    ariaDescription: learned ? "training" : "failed training",
    className: key,
  });
}

/** A model's points, in its shape. */
export function dots(data: readonly XY[], look: Look, r = 3.2): Plot.Markish {
  const { key, colour, symbol, hollow } = look;
  return Plot.dot(data as XY[], {
    x: "x",
    y: "y",
    r,
    symbol: symbol as Plot.SymbolType,
    fill: hollow ? "var(--paper)" : colour,
    stroke: colour,
    strokeWidth: hollow ? 1.8 : 0.5,
    ariaDescription: "point",
    className: key,
  });
}
