/**
 * Checks of JSON that comes from outside, on Valibot. A schema says what a value must be; its
 * messages complete the sentence "it must be …".
 *
 * @module
 */
import * as v from "valibot";
import { nearest } from "./did_you_mean.ts";
import { showNames, showValue } from "./show.ts";

export { showNames, showValue } from "./show.ts";

/** What checks a value and gives it a type. */
export type Schema<Output> = v.GenericSchema<unknown, Output>;

const MOST_LAYERS = 4096;
/** An integer within bounds. */
export function integer(least: number, most: number): Schema<number> {
  const expected = least === 1
    ? `a positive integer, at most ${most}`
    : `an integer from ${least} to ${most}`;
  return v.pipe(
    v.number("a number"),
    v.integer(expected),
    v.minValue(least, expected),
    v.maxValue(most, expected),
  );
}

/** Number of layers. Published models have up to some 200. */
export const LAYERS: Schema<number> = integer(1, MOST_LAYERS);
/** Number of heads, of groups of them, or of blocks. */
export const HEADS: Schema<number> = integer(1, 4096);
/** Width of a layer, a head, a state or a projection. */
export const SIZE: Schema<number> = integer(1, 2 ** 24);
/** The same, where there may be none. */
export const SIZE_OR_NONE: Schema<number> = integer(0, 2 ** 24);
/** Number of tokens. */
export const VOCABULARY: Schema<number> = integer(1, 2 ** 28);
/** Length of a sequence in tokens. */
export const LENGTH: Schema<number> = integer(1, 2 ** 40);
/** A finite number. */
export const NUMBER: Schema<number> = v.pipe(
  v.number("a number"),
  v.finite("a finite number"),
);
/** A finite number of at least 0. */
export const NOT_NEGATIVE: Schema<number> = v.pipe(
  v.number("a number"),
  v.finite("a finite number"),
  v.minValue(0, "at least 0"),
);
/** A finite number greater than 0. */
export const POSITIVE: Schema<number> = v.pipe(
  v.number("a number"),
  v.finite("a finite number"),
  v.gtValue(0, "greater than 0"),
);
/** True or false. */
export const FLAG: Schema<boolean> = v.boolean("true or false");
/** A string. */
export const TEXT: Schema<string> = v.string("a string");

/** What may be left out. */
export function optional<Output>(schema: Schema<Output>): Schema<Output | undefined> {
  return v.optional(schema);
}

/** A schema with a line of documentation, which its JSON schema shows. */
export function described<Output>(schema: Schema<Output>, text: string): Schema<Output> {
  return v.pipe(schema, v.description(text));
}

/** One of some names. */
export function oneOf<const Name extends string>(names: readonly Name[]): Schema<Name> {
  const listed = names.length > MOST_LISTED ? showNames(names) : names.join(", ");
  return v.picklist(names, ({ input }) => `one of ${listed}${hintAmong(input, names)}`);
}

/** So many names are listed whole in an error. */
const MOST_LISTED = 30;

/** The name that somebody may have meant, in brackets; empty if none is near. */
export function hint(input: unknown, names: readonly string[]): string {
  const near = typeof input === "string" ? nearest(input, names) : undefined;
  return near === undefined ? "" : ` (did you mean ${quote(near)}?)`;
}

/** The same beside a list of all names: empty if there is only one, which the list has named. */
function hintAmong(input: unknown, names: readonly string[]): string {
  return names.length === 1 ? "" : hint(input, names);
}

/** The names of a table, for {@linkcode oneOf}. */
export function namesOf<Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(table) as Name[];
}

/** The one value that is supported; absent or null is the same. */
export function only(value: number | boolean | string, written = `${value}`): Schema<unknown> {
  return v.nullish(v.literal(value, `${written}, as nothing else is supported`));
}

/** What must be absent or null. */
export function unsupported(): Schema<unknown> {
  return v.nullish(v.never("null, as nothing else is supported"));
}

/** A list; what its items must be. */
export function listOf<Item>(item: Schema<Item>): Schema<Item[]> {
  return v.array(item, "a list");
}

/** The layers of a model: as many as {@linkcode LAYERS} allows. */
export function layersOf<Layer>(layer: Schema<Layer>): Schema<Layer[]> {
  return v.pipe(
    v.array(layer, "a list"),
    v.minLength(1, "a list of at least one layer"),
    v.maxLength(MOST_LAYERS, `a list of at most ${MOST_LAYERS} layers`),
  );
}

/** The fields of an object of a type, each with what checks it: none can be forgotten. */
export type Fields<Type> = { readonly [Key in keyof Type]-?: Schema<Type[Key]> };

/** An object of a type, with no other fields than its own. */
export function exactly<Type extends object>(fields: Fields<Type>): Schema<Type> {
  const names = Object.keys(fields);
  return v.strictObject(
    fields,
    // Of a key that is none of its own, the path's last part is that key.
    ({ expected, path }) => expected === "never" ? hint(path?.at(-1)?.key, names) : "an object",
  ) as unknown as Schema<Type>;
}

/** An object of one of several types, which its `kind` tells apart. */
export function byKind<Type extends { readonly kind: string }>(
  schemas: { readonly [Kind in Type["kind"]]: Schema<Type> },
): Schema<Type> {
  const kinds = Object.keys(schemas);
  const expected = `known: known kinds are ${kinds.join(", ")}`;
  const options = [...new Set(Object.values(schemas))] as unknown as v.VariantOptions<"kind">;
  return v.variant(
    "kind",
    options,
    (issue) =>
      issue.expected === "Object" ? "an object" : `${expected}${hintAmong(issue.input, kinds)}`,
  ) as unknown as Schema<Type>;
}

/**
 * Checks a value.
 *
 * @param source The file that holds it, for errors.
 * @param as What it is read as, where the file does not say so by its name: `as a tokenizer`.
 * @throws {Error} that names the file and the field, what was expected and what was found; a
 * RangeError where a value is not what it must be.
 */
export function check<Output>(
  schema: Schema<Output>,
  value: unknown,
  source: string,
  as?: string,
): Output {
  // Valibot takes a list for an object whose fields may all be left out.
  if (Array.isArray(value) && /(^|_)object$/.test(schema.type)) {
    throw new RangeError(`Cannot read ${source}: it must be an object: current value is a list`);
  }
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const begin = `Cannot read ${source}`;
  throw describeIssue(
    deepest(result.issues[0]),
    as === undefined ? begin : `${begin} ${as}`,
    as !== undefined,
  );
}

/**
 * Parses JSON.
 *
 * @param source The file that holds it, for errors.
 * @throws {Error} where it is not valid JSON.
 */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/\s+/g, " "); // it quotes lines of the text
    const hint = /^\s*\/[/*]/m.test(text) ? ": JSON has no comments, leave them out" : "";
    throw new Error(`Cannot read ${source} as it is not valid JSON (${reason})${hint}`, {
      cause: error,
    });
  }
}

/** Parses JSON as Python writes it, with `Infinity` and `NaN` (which becomes null). @throws {Error} for other text. */
export function parsePythonJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const json = text.replace(
      /("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g,
      (found, string) =>
        string ?? (found === "NaN" ? "null" : found === "Infinity" ? "1e999" : "-1e999"),
    );
    return parseJson(json, source);
  }
}

/** What may be a name or an object, as an issue calls it. */
const NAME_OR_OBJECT = "(string | Object)";

/** The issue that says most: of an object where a name would do too, that of a field of it. */
function deepest(issue: v.BaseIssue<unknown>): v.BaseIssue<unknown> {
  const inner = issue.expected === NAME_OR_OBJECT
    ? issue.issues?.find(({ path }) => path !== undefined)
    : undefined;
  if (inner === undefined) return issue;
  const { path = [], ...found } = deepest(inner);
  return { ...found, path: [...issue.path ?? [], ...path] } as v.BaseIssue<unknown>;
}

function describeIssue(issue: v.BaseIssue<unknown>, begin: string, isReadAs: boolean): Error {
  const path = (issue.path ?? []).map(({ key }) => typeof key === "number" ? key : `${key}`);
  const field = path.pop();
  const place = path.map((key) => typeof key === "number" ? ` item ${key}` : `, ${quote(key)}`)
    .join("");
  const where = isReadAs && place !== "" ? begin + place.replace(/^,/, ":") : begin + place;
  const found = `must be ${issue.message}: current value is ${showValue(issue.input)}`;
  if (field === undefined) return new RangeError(`${where}: it ${found}`);
  const name = typeof field === "number" ? `item ${field}` : quote(field);
  // An object reports the keys that it lacks, and those that are none of its own.
  if (issue.type === "strict_object" && issue.expected === "never") {
    return new Error(`${where}: ${name} is none of its fields${issue.message}`);
  }
  const isMissing = /object/.test(issue.type) && issue.expected !== "Object" ||
    issue.input === null && typeof field === "string";
  return isMissing
    ? new Error(`${where}: it must give ${name}`)
    : new RangeError(`${where}: ${name} ${found}`);
}

function quote(key: string): string {
  return showValue(key);
}
