import { fitPowerLaw } from "../../statistics.ts";
import { type Cost, costsOf, groupBy } from "../curves.ts";
import type { Results } from "../runs.ts";
import { bytes, type Look, milliseconds, tokens } from "../theme.ts";
import { drawChart } from "./chart.ts";
import { dots, line } from "./marks.ts";
import { distinct, type Picture, slug } from "./picture.ts";
import { byteTicks, lengthScale, roundTicks } from "./scales.ts";

/** The exponents of costs are fitted over so many of the longest lengths: the short ones are overhead. */
export const FITTED_POINTS = 4;
/** Fewer show no growth: what two differ by is noise as much. */
export const FEWEST_POINTS = 3;

interface CostKind {
  readonly cost: Cost;
  readonly title: string;
  readonly label: string;
  readonly format: (value: number) => string;
}

const COSTS: readonly CostKind[] = [
  { cost: "prefill_ms", title: "Time to read a sample", label: "time", format: milliseconds },
  { cost: "step_ms", title: "Time for one more token", label: "time", format: milliseconds },
  { cost: "peak_bytes", title: "Peak GPU memory of one sample", label: "memory", format: bytes },
  { cost: "state_bytes", title: "Size of the state", label: "size", format: bytes },
];

/** More curves than this are not read; those of models of one size are then one. */
const READABLE = 10;
/** As many at most are then in one picture. */
const PER_PICTURE = 8;

type CostCurve = ReturnType<typeof costsOf>[number];

/** Time and memory against length on logarithmic axes, with the exponents in the legend. */
export function costPictures(results: Results, look: ReadonlyMap<string, Look>): Picture[] {
  return COSTS.flatMap((kind) => {
    const all = costsOf(results.rows, kind.cost)
      .map(({ model, points }) => ({ model, points: points.filter(({ value }) => value > 0) }))
      .filter(({ points }) => points.length > 0);
    if (all.length <= READABLE) return all.length === 0 ? [] : [costPicture(kind, all, look)];
    const { curves, looks } = bySize(all, results, kind.cost, look);
    const count = Math.ceil(curves.length / PER_PICTURE);
    const each = Math.ceil(curves.length / count);
    return Array.from({ length: count }, (_, i) => {
      const title = count === 1 ? kind.title : `${kind.title} (${i + 1} of ${count})`;
      return costPicture({ ...kind, title }, curves.slice(i * each, (i + 1) * each), looks);
    });
  });
}

/** The curves of models of one architecture and size as one: what they were trained on costs nothing. */
function bySize(
  curves: readonly CostCurve[],
  { models }: Results,
  cost: Cost,
  look: ReadonlyMap<string, Look>,
): { curves: readonly CostCurve[]; looks: ReadonlyMap<string, Look> } {
  const sizeOf = new Map(models.map(({ model, family, parameters }) => [
    model,
    `${family}, ${parameters.toLocaleString("en")}`,
  ]));
  const best = cost.endsWith("_ms") ? Math.min : Math.max;
  const groups = [...groupBy(curves, ({ model }) => sizeOf.get(model)!)];
  return {
    curves: groups.map(([size, group]) => ({
      model: group.length === 1 ? group[0].model : size,
      points: [...groupBy(group.flatMap(({ points }) => points), ({ length }) => length)]
        .map(([length, points]) => ({
          length,
          value: points.map(({ value }) => value).reduce((a, b) => best(a, b)),
        }))
        .sort((a, b) => a.length - b.length),
    })),
    looks: new Map([
      ...look,
      ...groups.map(([size, [{ model }]]): [string, Look] => {
        return [size, { ...look.get(model)!, key: "", name: size }];
      }),
    ]),
  };
}

function costPicture(
  { cost, title, label, format }: CostKind,
  curves: readonly CostCurve[],
  look: ReadonlyMap<string, Look>,
): Picture {
  const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
  const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
  const ticks = cost.endsWith("_bytes")
    ? byteTicks(values)
    : { ...roundTicks(values), tickFormat: format };
  const drawing = drawChart({
    look,
    title,
    legend: curves.map(({ model, points }) => {
      const law = points.length < FEWEST_POINTS ? undefined : fitPowerLaw(
        points.slice(-FITTED_POINTS).map(({ length, value }) => ({ x: length, y: value })),
      );
      return { model, ...(law === undefined ? {} : { note: `∝ L^${signed(law.exponent)}` }) };
    }),
    marks: curves.flatMap(({ model, points }) => {
      const data = points.map(({ length, value }) => ({ x: length, y: value }));
      return [line(data, look.get(model)!), dots(data, look.get(model)!)];
    }),
    x: lengthScale(lengths),
    y: { type: "log", label, ...ticks },
    values: curves.flatMap(({ model, points }) =>
      points.map(({ length, value }) => ({ model, x: length, y: value, text: format(value) }))
    ),
    place: (length) => `${tokens(length)} tokens`,
  });
  return { ...drawing, name: slug(cost), section: "cost", title };
}

/** Two digits behind the point, with a minus sign only where they are not all 0. */
function signed(value: number): string {
  const text = Math.abs(value).toFixed(2);
  return value < 0 && Number(text) > 0 ? `−${text}` : text;
}
