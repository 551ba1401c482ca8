import type * as Plot from "@observablehq/plot";
import type { Curve } from "../curves.ts";
import { bytes, tokens } from "../theme.ts";

/** The axis of lengths: logarithmic, with ticks where there are points. */
export function lengthScale(lengths: readonly number[]): Plot.ScaleOptions {
  return {
    type: "log",
    base: 2,
    label: "length in tokens",
    ticks: thin(lengths, 8),
    tickFormat: tokens,
    ...(lengths.length === 1 ? { domain: [lengths[0] / 2, lengths[0] * 2] } : {}),
  };
}

/** A logarithmic axis of tokens with ticks at powers of two. */
export function positionScale(positions: readonly number[], label: string): Plot.ScaleOptions {
  const first = Math.ceil(Math.log2(positions[0]));
  const last = Math.floor(Math.log2(positions.at(-1)!));
  const powers = Array.from({ length: Math.max(1, last - first + 1) }, (_, i) => 2 ** (first + i));
  return { type: "log", base: 2, label, ticks: thin(powers, 8), tickFormat: tokens };
}

/** Ticks at powers of two, which is where bytes are round. */
export function byteTicks(values: readonly number[]): Plot.ScaleOptions {
  const low = Math.floor(Math.log2(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log2(Math.max(...values))));
  const powers = Array.from({ length: high - low + 1 }, (_, i) => 2 ** (low + i));
  return { ticks: thin(powers, 6), tickFormat: bytes, domain: [2 ** low, 2 ** high] };
}

/** Ticks at 1, 2 and 5 times powers of ten, or at the powers alone where those are many. */
export function roundTicks(values: readonly number[]): Plot.ScaleOptions {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const first = Math.floor(Math.log10(low));
  const powers = Array.from(
    { length: Math.ceil(Math.log10(high)) - first + 1 },
    (_, i) => first + i,
  );
  for (const steps of [[1, 2, 5], [1]]) {
    const ticks = powers.flatMap((power) => steps.map((step) => step * 10 ** power));
    const [below, above] = [
      ticks.findLast((tick) => tick <= low),
      ticks.find((tick) => tick >= high),
    ];
    const within = ticks.filter((tick) => tick >= (below ?? low) && tick <= (above ?? high));
    if (within.length <= 8) {
      return { ticks: within, domain: [Math.min(low, within[0]), Math.max(high, within.at(-1)!)] };
    }
  }
  return { ticks: thin(powers.map((power) => 10 ** power), 6) };
}

/** At most so many of the values, evenly, the last among them. */
function thin(values: readonly number[], most: number): number[] {
  const step = Math.ceil(values.length / most);
  return values.filter((_, i) => (values.length - 1 - i) % step === 0);
}

/** The scale of perplexities. */
export function perplexityScale(curves: readonly Curve[]): Partial<Plot.ScaleOptions> {
  const values = endsOf(curves);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high > 8 * low
    ? { type: "log", ...roundTicks(values) }
    : { domain: [Math.min(1, low), high * 1.02] };
}

/** From where to where differences go, with 0 between. */
export function spanOf(curves: readonly Pick<Curve, "points">[]): [low: number, high: number] {
  const values = [0, ...endsOf(curves)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = 0.02 * (high - low || 1);
  return [low - margin, high + margin];
}

/** The values of curves, and the ends of their intervals. */
function endsOf(curves: readonly Pick<Curve, "points">[]): number[] {
  return curves.flatMap(({ points }) =>
    points.flatMap(({ value, low, high }) => low <= high ? [low, value, high] : [value])
  );
}
