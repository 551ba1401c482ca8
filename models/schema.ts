/**
 * Checks of JSON that comes from outside, on Valibot. A schema says what a value must be; its
 * messages complete the sentence "it must be …".
 *
 * @module
 */
import * as v from "valibot";

/** What checks a value and gives it a type. */
export type Schema<Output> = v.GenericSchema<unknown, Output>;

/** Characters of a value in an error. */
const SHOWN = 80;

/** A whole number within bounds. */
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
export const LAYERS: Schema<number> = integer(1, 1024);
/** Number of heads, of groups of them, or of blocks. */
export const HEADS: Schema<number> = integer(1, 4096);
/** Width of a layer, a head, a state or a projection. */
export const SIZE: Schema<number> = integer(1, 2 ** 24);
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

/** One of some names. */
export function oneOf<const Name extends string>(names: readonly Name[]): Schema<Name> {
  return v.picklist(names, `one of ${names.join(", ")}`);
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

/** The fields of an object of a type, each with what checks it: none can be forgotten. */
export type Fields<Type> = { readonly [Key in keyof Type]-?: Schema<Type[Key]> };

/** An object of a type, with no other fields than its own. */
export function exactly<Type extends object>(fields: Fields<Type>): Schema<Type> {
  return v.strictObject(fields, "an object") as unknown as Schema<Type>;
}

/**
 * Checks a value.
 *
 * @param source The file that holds it, for errors.
 * @throws {Error} that names the file and the field, what was expected and what was found.
 */
export function check<Output>(schema: Schema<Output>, value: unknown, source: string): Output {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  throw new Error(describeIssue(result.issues[0], source));
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
    throw new Error(
      `Cannot read ${source} as it is no JSON (${(error as Error).message})`,
      { cause: error },
    );
  }
}

/** A value as JSON, cut where it is long. */
export function showValue(value: unknown): string {
  let text: string;
  try {
    // JSON has no infinities: they would read as null.
    text = typeof value === "number" ? `${value}` : JSON.stringify(value) ?? `${value}`;
  } catch {
    return `${typeof value} that is nested too deeply`;
  }
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

function describeIssue(issue: v.BaseIssue<unknown>, source: string): string {
  const path = (issue.path ?? []).map(({ key }) => typeof key === "number" ? key : `${key}`);
  const field = path.pop();
  const place = path.map((key) => typeof key === "number" ? ` item ${key}` : `, ${quote(key)}`)
    .join("");
  const where = `Cannot read ${source}${place}`;
  const found = showValue(issue.input);
  if (field === undefined) {
    return `${where}: it must be ${issue.message}: current value is ${found}`;
  }
  const name = typeof field === "number" ? `item ${field}` : quote(field);
  // A missing key is reported by the object that lacks it.
  if (issue.kind === "schema" && /object/.test(issue.type) && issue.expected !== "Object") {
    return issue.expected === "never"
      ? `${where}: ${name} is none of its fields`
      : `${where}: it must give ${name}`;
  }
  if (issue.input === null && typeof field === "string") return `${where}: it must give ${name}`;
  return `${where}: ${name} must be ${issue.message}: current value is ${found}`;
}

function quote(key: string): string {
  return showValue(key);
}
