import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { fitPowerLaw } from "../statistics.ts";
import type { Row } from "../sweep/rows.ts";
import {
  type Cost,
  costsOf,
  type Curve,
  curvesOf,
  groupBy,
  modelsOf,
  type Panel,
  panels,
  pool,
  taskMean,
} from "./curves.ts";
import { bytes, HEAT_SCHEME, type Look, looks, milliseconds, THEME, tokens } from "./theme.ts";

/** One picture of a report. */
export interface Picture {
  /** Its file's name, without `.svg`. */
  readonly name: string;
  /** What it shows, in a line. */
  readonly title: string;
  /** Where it stands in the report. */
  readonly section: "mean" | "accuracy" | "perplexity" | "depth" | "cost";
  /** The picture, for a page that has the theme's variables. */
  readonly svg: string;
  /** How many curves or fields it has. */
  readonly series: number;
}

const WIDTH = 440;
const HEIGHT = 300;
const FONT = 12;
/** The exponents of costs are fitted over so many of the longest lengths: the short ones are overhead. */
const FITTED_POINTS = 4;

type Marks = Plot.Markish[];

/** All pictures that a sweep's rows give. */
export function makePictures(rows: readonly Row[]): Picture[] {
  const look = looks(modelsOf(rows));
  return [
    ...meanPictures(rows, look),
    ...panels(rows, "accuracy").map((panel) => accuracyPicture(panel, look)),
    ...perplexityPictures(rows, look),
    ...depthPictures(rows),
    ...costPictures(rows, look),
  ];
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
  return root.outerHTML;
}

function meanPictures(rows: readonly Row[], look: ReadonlyMap<string, Look>): Picture[] {
  const { tasks, curves } = taskMean(rows);
  if (tasks.length < 2 || curves.length === 0) return [];
  return [
    linePicture({
      name: "mean",
      section: "mean",
      title: `Mean accuracy over ${tasks.length} tasks`,
      curves,
      look,
      trainLengths: trainLengths(rows),
      y: { label: "mean accuracy", domain: [0, 1] },
    }),
    recallPicture(rows, curves, look),
  ];
}

/** Accuracy against the size of the state that it was remembered in. */
function recallPicture(
  rows: readonly Row[],
  curves: readonly Curve[],
  look: ReadonlyMap<string, Look>,
): Picture {
  const states = new Map(
    costsOf(rows, "state_bytes").map(({ model, points }) => [
      model,
      new Map(points.map(({ length, value }) => [length, value])),
    ]),
  );
  const data = curves.flatMap(({ model, points }) =>
    points.map((point) => ({ model, x: states.get(model)?.get(point.length) ?? 0, y: point.value }))
  ).filter(({ x }) => x > 0);
  const marks = [...groupBy(data, ({ model }) => model)].flatMap(([model, points]) => [
    Plot.line(points, {
      x: "x",
      y: "y",
      stroke: look.get(model)!.colour,
      strokeOpacity: 0.5,
      ariaDescription: "curve",
    }),
    dots(points, look.get(model)!),
  ]);
  const { svg, series } = draw({
    look,
    legend: [...groupBy(data, ({ model }) => model).keys()].map((model) => ({ model })),
    marks,
    title: "Mean accuracy against the size of the state",
    x: {
      type: "log",
      base: 2,
      label: "bytes of the state",
      labelAnchor: "center",
      labelArrow: "none",
      ...byteTicks(data.map(({ x }) => x)),
    },
    y: { label: "mean accuracy", domain: [0, 1] },
  });
  return {
    name: "recall-state",
    section: "mean",
    title: "Mean accuracy against the size of the state",
    svg,
    series,
  };
}

function accuracyPicture(panel: Panel, look: ReadonlyMap<string, Look>): Picture {
  const { rows, title } = panel;
  const chance = rows.find(({ metric }) => metric === "chance")?.value;
  return linePicture({
    name: `accuracy-${slug(title)}`,
    section: "accuracy",
    title,
    curves: curvesOf(rows, "accuracy"),
    laws: curvesOf(rows, "window_law"),
    look,
    ...(chance === undefined ? {} : { chance }),
    trainLengths: trainLengths(rows),
    y: { label: "accuracy", domain: [0, 1] },
  });
}

function perplexityPictures(rows: readonly Row[], look: ReadonlyMap<string, Look>): Picture[] {
  return panels(rows, "perplexity").flatMap(({ title, rows }) => {
    const curves = curvesOf(rows, "perplexity");
    const positions = positionCurves(rows);
    const shared = { section: "perplexity", look, trainLengths: trainLengths(rows) } as const;
    return [
      linePicture({
        ...shared,
        name: `perplexity-${slug(title)}`,
        title: `${title}: perplexity against length`,
        curves,
        y: { label: "perplexity", ...perplexityScale(curves) },
      }),
      linePicture({
        ...shared,
        name: `perplexity-position-${slug(title)}`,
        title: `${title}: perplexity by position at the longest length`,
        curves: positions,
        x: "position",
        y: { label: "perplexity", ...perplexityScale(positions) },
      }),
    ];
  });
}

/** Perplexity by position at each model's longest length; a band stands at its geometric middle. */
function positionCurves(rows: readonly Row[]): Curve[] {
  const bands = rows.filter(({ metric }) => metric.startsWith("perplexity@"));
  return [...groupBy(bands, ({ model }) => model)].map(([model, ofModel]) => {
    const longest = Math.max(...ofModel.map(({ length }) => length));
    const atLongest = ofModel.filter(({ length }) => length === longest);
    return {
      model,
      points: [...groupBy(atLongest, ({ metric }) => metric)].map(([metric, cells]) => {
        const [low, high] = metric.slice("perplexity@".length).split("-").map(Number);
        return { ...pool(cells), length: Math.sqrt((low + 1) * (high + 1)) };
      }).sort((a, b) => a.length - b.length),
    };
  });
}

function perplexityScale(curves: readonly Curve[]): Partial<Plot.ScaleOptions> {
  const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return high > 8 * low
    ? { type: "log", domain: [low * 0.9, high * 1.1], ...roundTicks(values) }
    : { domain: [Math.min(1, low), high * 1.05] };
}

function depthPictures(rows: readonly Row[]): Picture[] {
  return panels(rows, "accuracy").flatMap((panel) => {
    const fixed = panel.rows.filter(({ metric, depth }) =>
      metric === "accuracy" && depth !== undefined
    );
    const bands = panel.rows.filter(({ metric }) => metric.startsWith(ACCURACY_AT));
    const chosen = fixed.length > 0 ? fixed : bands;
    return [...groupBy(chosen, ({ model }) => model)].map(([model, cells]) =>
      heatMap(panel.title, model, cells)
    );
  });
}

const ACCURACY_AT = "accuracy@";

/** Where a row's needles lie, in words and as a number to order by. */
function depthOf({ depth, metric }: Row): { readonly low: number; readonly label: string } {
  const percent = (value: number): number => Math.round(value * 100);
  if (depth !== undefined) return { low: depth, label: `${percent(depth)}%` };
  const [low, high] = metric.slice(ACCURACY_AT.length).split("-").map(Number);
  return { low, label: `${percent(low)}–${percent(high)}%` };
}

function heatMap(title: string, model: string, rows: readonly Row[]): Picture {
  const fields = [...groupBy(rows, (row) => `${row.length} ${depthOf(row).label}`).values()]
    .map((cells) => ({
      length: cells[0].length,
      label: depthOf(cells[0]).label,
      value: pool(cells).value,
    }));
  const lengths = distinct(fields.map(({ length }) => length));
  const labels = new Map(rows.map(depthOf).map(({ low, label }) => [low, label]));
  const depths = distinct([...labels.keys()]).map((low) => labels.get(low)!);
  const height = 58 + 28 * depths.length;
  const svg = render({
    width: WIDTH,
    height,
    marginTop: 6,
    marginBottom: 46,
    marginLeft: 92,
    padding: 0.04,
    x: {
      type: "band",
      domain: lengths,
      tickFormat: tokens,
      label: "length in tokens",
      labelAnchor: "center",
      labelArrow: "none",
      tickSize: 0,
    },
    y: {
      type: "band",
      domain: depths,
      label: "depth",
      labelArrow: "none",
      tickSize: 0,
    },
    color: { type: "linear", domain: [0, 1], scheme: HEAT_SCHEME },
    marks: [
      Plot.cell(fields, { x: "length", y: "label", fill: "value" }),
      Plot.text(fields, {
        x: "length",
        y: "label",
        text: ({ value }) => value.toFixed(2),
        fill: ({ value }) => value > 0.55 ? "#14171a" : "#ffffff",
      }),
    ],
  }, `${title}, ${model}: accuracy by depth and length`);
  return {
    name: `depth-${slug(title)}-${slug(model)}`,
    section: "depth",
    title: `${title}: ${model}`,
    svg,
    series: fields.length,
  };
}

const COSTS: readonly {
  readonly cost: Cost;
  readonly title: string;
  readonly label: string;
  readonly format: (value: number) => string;
}[] = [
  { cost: "prefill_ms", title: "Time to read a sample", label: "time", format: milliseconds },
  { cost: "step_ms", title: "Time for one more token", label: "time", format: milliseconds },
  { cost: "peak_bytes", title: "Peak GPU memory of one sample", label: "memory", format: bytes },
  { cost: "state_bytes", title: "Size of the state", label: "size", format: bytes },
];

function costPictures(rows: readonly Row[], look: ReadonlyMap<string, Look>): Picture[] {
  return COSTS.flatMap(({ cost, title, label, format }) => {
    const curves = costsOf(rows, cost)
      .map(({ model, points }) => ({ model, points: points.filter(({ value }) => value > 0) }))
      .filter(({ points }) => points.length > 0);
    if (curves.length === 0) return [];
    const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
    const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
    const ticks = cost.endsWith("_bytes")
      ? byteTicks(values)
      : { ...roundTicks(values), tickFormat: format };
    const { svg, series } = draw({
      look,
      title,
      legend: curves.map(({ model, points }) => {
        const law = fitPowerLaw(
          points.slice(-FITTED_POINTS).map(({ length, value }) => ({ x: length, y: value })),
        );
        return { model, note: law === undefined ? "" : `∝ L^${law.exponent.toFixed(2)}` };
      }),
      marks: curves.flatMap(({ model, points }) => {
        const data = points.map(({ length, value }) => ({ x: length, y: value }));
        return [line(data, look.get(model)!), dots(data, look.get(model)!)];
      }),
      x: lengthScale(lengths),
      y: { type: "log", label, ...ticks },
    });
    return [{ name: slug(cost), section: "cost" as const, title, svg, series }];
  });
}

interface LinePicture {
  readonly name: string;
  readonly title: string;
  readonly section: Picture["section"];
  readonly curves: readonly Curve[];
  /** Dashed curves in the models' colours: what their windows allow. */
  readonly laws?: readonly Curve[];
  readonly look: ReadonlyMap<string, Look>;
  readonly chance?: number;
  readonly trainLengths: readonly number[];
  readonly x?: string;
  readonly y: Plot.ScaleOptions;
}

function linePicture(picture: LinePicture): Picture {
  const { name, title, section, curves, laws = [], look, chance, y } = picture;
  const lengths = distinct(curves.flatMap(({ points }) => points.map(({ length }) => length)));
  const marks: Marks = [];
  const [shortest, longest] = [lengths[0], lengths.at(-1)!];
  const marked = picture.trainLengths.filter((length) => length >= shortest && length <= longest);
  marks.push(
    Plot.ruleX(marked, { stroke: "var(--muted)", strokeWidth: 1, strokeDasharray: "1,3" }),
    Plot.text(marked, {
      x: (length) => length,
      text: (length) => `trained at ${tokens(length)}`,
      frameAnchor: "bottom",
      textAnchor: "start",
      dx: 4,
      dy: -4,
      fill: "var(--muted)",
      fontSize: 10,
    }),
  );
  if (chance !== undefined) {
    marks.push(
      Plot.ruleY([chance], { stroke: "var(--muted)", strokeDasharray: "4,3" }),
      Plot.text([chance], {
        y: (value) => value,
        text: () => "chance",
        frameAnchor: "right",
        textAnchor: "end",
        dy: -6,
        fill: "var(--muted)",
        fontSize: 10,
      }),
    );
  }
  for (const { model, points } of curves) {
    const { colour } = look.get(model)!;
    marks.push(Plot.areaY(points.filter(({ low, high }) => low <= high), {
      x: "length",
      y1: "low",
      y2: "high",
      fill: colour,
      fillOpacity: 0.13,
    }));
  }
  for (const { model, points } of laws) {
    marks.push(Plot.line(points, {
      x: "length",
      y: "value",
      stroke: look.get(model)!.colour,
      strokeWidth: 1.5,
      strokeDasharray: "2,3",
      ariaDescription: "window law",
    }));
  }
  for (const { model, points } of curves) {
    const data = points.map(({ length, value }) => ({ x: length, y: value }));
    marks.push(line(data, look.get(model)!), dots(data, look.get(model)!));
  }
  const { svg, series } = draw({
    look,
    title,
    legend: [
      ...curves.map(({ model }) => ({ model })),
      ...laws.map(({ model }) => ({ model, law: true })),
    ],
    marks,
    x: picture.x === undefined ? lengthScale(lengths) : positionScale(lengths, picture.x),
    y,
  });
  return { name, section, title, svg, series };
}

interface XY {
  readonly x: number;
  readonly y: number;
}

function line(data: readonly XY[], { colour, dashes }: Look): Plot.Markish {
  return Plot.line(data as XY[], {
    x: "x",
    y: "y",
    stroke: colour,
    strokeWidth: 2,
    ...(dashes === undefined ? {} : { strokeDasharray: dashes }),
    ariaDescription: "curve",
  });
}

function dots(data: readonly XY[], { colour, symbol }: Look): Plot.Markish {
  return Plot.dot(data as XY[], {
    x: "x",
    y: "y",
    r: 3.2,
    symbol: symbol as Plot.SymbolType,
    fill: symbol === "times" ? "none" : colour,
    stroke: colour,
    strokeWidth: symbol === "times" ? 2 : 0.5,
  });
}

function lengthScale(lengths: readonly number[]): Plot.ScaleOptions {
  return {
    type: "log",
    base: 2,
    label: "length in tokens",
    labelAnchor: "center",
    labelArrow: "none",
    ticks: thin(lengths, 8),
    tickFormat: tokens,
    ...(lengths.length === 1 ? { domain: [lengths[0] / 2, lengths[0] * 2] } : {}),
  };
}

function positionScale(positions: readonly number[], label: string): Plot.ScaleOptions {
  const first = Math.ceil(Math.log2(positions[0]));
  const last = Math.floor(Math.log2(positions.at(-1)!));
  const powers = Array.from({ length: Math.max(1, last - first + 1) }, (_, i) => 2 ** (first + i));
  return {
    type: "log",
    base: 2,
    label,
    labelAnchor: "center",
    labelArrow: "none",
    ticks: thin(powers, 8),
    tickFormat: tokens,
  };
}

/** Ticks at powers of two, which is where bytes are round. */
function byteTicks(values: readonly number[]): Plot.ScaleOptions {
  const low = Math.floor(Math.log2(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log2(Math.max(...values))));
  const powers = Array.from({ length: high - low + 1 }, (_, i) => 2 ** (low + i));
  return { ticks: thin(powers, 6), tickFormat: bytes, domain: [2 ** low, 2 ** high] };
}

/** Ticks at 1, 2 and 5 times powers of ten, or at the powers alone where those are many. */
function roundTicks(values: readonly number[]): Plot.ScaleOptions {
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

interface LegendItem {
  readonly model: string;
  readonly note?: string;
  /** Whether it is the window's law, not the model's own curve. */
  readonly law?: boolean;
}

interface Drawing {
  readonly title: string;
  readonly look: ReadonlyMap<string, Look>;
  readonly legend: readonly LegendItem[];
  readonly marks: Marks;
  readonly x: Plot.ScaleOptions;
  readonly y: Plot.ScaleOptions;
}

const MARGIN_LEFT = 56;
const LEGEND_LINE = 18;

function draw(drawing: Drawing): { svg: string; series: number } {
  const { title, look, legend, marks, x, y } = drawing;
  const places = layLegend(legend);
  const rows = (places.at(-1)?.row ?? 0) + 1;
  const legendHeight = rows * LEGEND_LINE;
  const svg = render(
    {
      width: WIDTH,
      height: HEIGHT + legendHeight,
      marginTop: 38 + legendHeight,
      marginLeft: MARGIN_LEFT,
      marginRight: 16,
      marginBottom: 40,
      x: { ...scaleOf(x), line: true },
      y: { grid: true, ...scaleOf(y), label: null },
      marks: [...axisMarks(x, y), ...marks],
    },
    title,
    (svg) => {
      const label = element(svg, "text", {
        x: 8,
        y: legendHeight + 22,
        fill: "var(--muted)",
        "text-anchor": "start",
      });
      label.textContent = String(y.label);
      legend.forEach((item, i) => drawLegendItem(svg, item, places[i], look.get(item.model)!));
    },
  );
  return { svg, series: legend.filter(({ law }) => !law).length };
}

/** Plot drops labels of logarithmic ticks as it sees fit: ours are few and all to be read. */
function hasOwnTicks(scale: Plot.ScaleOptions): boolean {
  return Array.isArray(scale.ticks);
}

function scaleOf(scale: Plot.ScaleOptions): Plot.ScaleOptions {
  return hasOwnTicks(scale) ? { ...scale, axis: null, grid: false } : scale;
}

function axisMarks(x: Plot.ScaleOptions, y: Plot.ScaleOptions): Marks {
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

interface LegendPlace {
  readonly row: number;
  readonly x: number;
}

function legendText({ model, note, law }: LegendItem): string {
  return law ? `${model}’s window law` : note ? `${model} ${note}` : model;
}

/** Lays the legend in rows, by a guess of how wide text is. */
function layLegend(items: readonly LegendItem[]): LegendPlace[] {
  let [row, x] = [0, 0];
  return items.map((item) => {
    const width = 36 + 7.2 * legendText(item).length;
    if (x > 0 && x + width > WIDTH - 8) [row, x] = [row + 1, 0];
    const place = { row, x };
    x += width;
    return place;
  });
}

function drawLegendItem(svg: SVGElement, item: LegendItem, place: LegendPlace, look: Look): void {
  const group = element(svg, "g", {
    transform: `translate(${place.x + 8},${14 + place.row * LEGEND_LINE})`,
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
    const holder = element(group, "g", { transform: "translate(0,-8)" });
    holder.append(dot);
  }
  const text = element(group, "text", {
    x: 21,
    dy: "0.35em",
    fill: "var(--ink)",
    "text-anchor": "start",
  });
  text.textContent = legendText(item);
}

const DOCUMENT = parseHTML("<html><body></body></html>").document as unknown as Document;

function element(
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

function render(
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
  svg.setAttribute("aria-label", title);
  // The page and the stand-alone file bring their own rules.
  for (const style of svg.querySelectorAll("style")) style.remove();
  decorate(svg);
  return svg.outerHTML;
}

function trainLengths(rows: readonly Row[]): number[] {
  return distinct(rows.map((row) => row.train_length));
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

function slug(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
}
