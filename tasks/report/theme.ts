import type { Estimate } from "../statistics.ts";

/**
 * Colours of the models in light and in dark, told apart by all common kinds of colour vision (after
 * Okabe & Ito 2008); each has a shape too. The same model has the same look in every picture.
 */
const SERIES: readonly { readonly light: string; readonly dark: string }[] = [
  { light: "#0072b2", dark: "#58aee6" },
  { light: "#d55e00", dark: "#ff8f4a" },
  { light: "#008f68", dark: "#2fc79a" },
  { light: "#a8478f", dark: "#dd8fc8" },
  { light: "#a67c00", dark: "#e5bd3c" },
  { light: "#2b2f88", dark: "#a3a8ff" },
  { light: "#7a5230", dark: "#c79a73" },
  { light: "#5f6b76", dark: "#a9b4bf" },
];

const SYMBOLS = ["circle", "square2", "triangle", "diamond2", "star", "cross", "hexagon", "wye"];

const INK = {
  light: { paper: "#ffffff", ink: "#1c2127", muted: "#5d6873", grid: "#e4e7ea", panel: "#f6f7f9" },
  dark: { paper: "#14171a", ink: "#e8eaec", muted: "#9aa5b0", grid: "#2c3238", panel: "#1d2125" },
};

/** The CSS variables of the pictures and the page, for both colour schemes; paper is white. */
export const THEME: string = [
  `:root{color-scheme:light dark;${variables("light")}}`,
  `@media screen and (prefers-color-scheme:dark){:root{${variables("dark")}}}`,
].join("\n");

function variables(scheme: "light" | "dark"): string {
  return [
    ...Object.entries(INK[scheme]).map(([name, colour]) => `--${name}:${colour}`),
    ...SERIES.map((colours, i) => `--series-${i}:${colours[scheme]}`),
  ].join(";");
}

/** A picture's markup with the colours themselves in place of the theme's variables; paper is white. */
export function literalColours(markup: string): string {
  const colours = new Map<string, string>([
    ...Object.entries(INK.light),
    ...SERIES.map(({ light }, i) => [`series-${i}`, light] as const),
  ]);
  return markup.replaceAll(/var\(--([\w-]+)\)/g, (variable, name) => {
    const colour = colours.get(name);
    if (colour === undefined) throw new Error(`Cannot draw with ${variable}: no such colour`);
    return colour;
  });
}

/** How a model looks, by its place among the models. */
export interface Look {
  /** The class of what is drawn of it, by which a page shows or hides it: `m0`. */
  readonly key: string;
  /** Its name, which says enough where no other model of it is shown. */
  readonly name: string;
  /** A CSS colour. */
  readonly colour: string;
  /** A symbol that Plot knows. */
  readonly symbol: string;
  /** Whether the symbol is drawn as an outline. */
  readonly hollow?: boolean;
  /** Dashes of its lines, where another model has its colour. */
  readonly dashes?: string;
}

/** Solid, then dashed for a second model of one colour, then dotted, then both. */
const DASHES = [undefined, "6,3", "1.5,3", "8,3,1.5,3"];

/** What of a model its look depends on. */
export interface LookOf {
  /** The model's label. */
  readonly model: string;
  /** Its name, which it shares with itself in other runs. @default its label */
  readonly name?: string;
  /** Its architecture. */
  readonly family: string;
}

/**
 * The look of the models, by label. A model that is there several times, as in several runs, has one
 * colour; so have models of one architecture where there are at most two of each, such as one for
 * synthetic tasks and one for text, or where there are more models than colours; else each has its
 * own.
 */
export function looks(models: readonly LookOf[]): ReadonlyMap<string, Look> {
  const names = [...Map.groupBy(models, ({ model, name = model }) => name).values()];
  const families = [...Map.groupBy(models, ({ family }) => family).values()];
  const repeated = names.length < models.length;
  const most = models.length > SERIES.length ? DASHES.length : 2;
  const shared = !repeated && families.length > 1 &&
    families.every(({ length }) => length <= most);
  const groups = repeated && names.every(({ length }) => length <= DASHES.length)
    ? names
    : shared
    ? families
    : models.map((model) => [model]);
  const keys = new Map(models.map(({ model }, i) => [model, `m${i}`]));
  return new Map(groups.flatMap((group, i) =>
    group.map(({ model, name = model }, nth) => {
      const dashes = DASHES[(nth + Math.floor(i / SERIES.length)) % DASHES.length];
      return [model, {
        key: keys.get(model)!,
        name,
        colour: `var(--series-${i % SERIES.length})`,
        symbol: SYMBOLS[i % SYMBOLS.length],
        ...(nth % 2 === 1 ? { hollow: true } : {}),
        ...(dashes === undefined ? {} : { dashes }),
      }] as const;
    })
  ));
}

/**
 * What models are called where they are shown together: by their names, or by their labels where
 * several have one name.
 */
export function callNames(
  models: readonly string[],
  look: ReadonlyMap<string, Look>,
): ReadonlyMap<string, string> {
  const shown = [...new Set(models)];
  const names = Map.groupBy(shown, (model) => look.get(model)!.name);
  return new Map(shown.map((model) => {
    const { name } = look.get(model)!;
    return [model, names.get(name)!.length === 1 ? name : model];
  }));
}

/** Blue (0) over grey to yellow (1), as lightness grows: cividis (Nuñez, Anderton & Renslow 2018). */
export const HEAT_SCHEME = "cividis";

/** Tokens, short: 64, 1K, 1M. */
export function tokens(length: number): string {
  if (length >= 2 ** 20 && length % 2 ** 18 === 0) return `${length / 2 ** 20}M`;
  if (length >= 2 ** 10 && length % 2 ** 8 === 0) return `${length / 2 ** 10}K`;
  return String(length);
}

/** Bytes, short. */
export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  return `${Number((count / 2 ** (10 * unit)).toPrecision(3))} ${units[unit]}`;
}

/** Milliseconds, short. */
export function milliseconds(count: number): string {
  if (count >= 60_000) return `${Number((count / 60_000).toPrecision(3))} min`;
  if (count >= 1000) return `${Number((count / 1000).toPrecision(3))} s`;
  if (count < 1) return `${Number((count * 1000).toPrecision(3))} µs`;
  return `${Number(count.toPrecision(3))} ms`;
}

/** A value with its interval, where it has one: 1.00 [.76, 1.00]. */
export function withInterval(
  { value, low, high }: Estimate,
  format: (value: number) => string = (value) => value.toFixed(2),
): string {
  const end = (value: number): string => format(value).replace(/^(-?)0\./, "$1.");
  return format(value) + (low <= high ? ` [${end(low)}, ${end(high)}]` : "");
}
