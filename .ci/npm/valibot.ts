// deno-lint-ignore-file no-explicit-any
/** The part of Valibot that is used: a schema is a function from an input to an output, or it fails. */
export interface BaseIssue<Input> {
  readonly message: string;
  readonly input: Input;
  readonly type: string;
  readonly expected: string | null;
  readonly path?: readonly { readonly key: any }[];
  readonly issues?: readonly BaseIssue<Input>[];
}
export interface GenericSchema<_Input = unknown, Output = any> {
  readonly run: (value: unknown) => Output;
  readonly description?: string;
}
export type InferOutput<S> = S extends { run: (value: unknown) => infer Output } ? Output : never;
export type VariantOptions<_Key extends string> = readonly any[];

type Schema = GenericSchema<unknown, any>;
type Message = string | ((issue: any) => string) | undefined;

class Failure extends Error {
  constructor(readonly issue: BaseIssue<unknown>) {
    super(issue.message);
  }
}

function fail(type: string, input: unknown, message: Message, expected: string | null = null): never {
  const issue = { type, input, expected, message: "", path: undefined };
  const text = typeof message === "function" ? message(issue) : message;
  throw new Failure({ ...issue, message: text ?? `valid (${type})` });
}

function at<Output>(key: unknown, work: () => Output): Output {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { issue } = error;
    throw new Failure({ ...issue, path: [{ key }, ...issue.path ?? []] });
  }
}

function schema(type: string, test: (value: any) => boolean, message: Message): Schema {
  return { run: (value) => test(value) ? value : fail(type, value, message) };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const string = (message?: Message): Schema => schema("string", (v) => typeof v === "string", message);
export const number = (message?: Message): Schema =>
  schema("number", (v) => typeof v === "number" && !Number.isNaN(v), message);
export const boolean = (message?: Message): Schema => schema("boolean", (v) => typeof v === "boolean", message);
export const unknown = (): Schema => ({ run: (value) => value });
export const never = (message?: Message): Schema => schema("never", () => false, message);
export const literal = (one: unknown, message?: Message): Schema => schema("literal", (v) => v === one, message);
export const picklist = (all: readonly unknown[], message?: Message): Schema =>
  schema("picklist", (v) => all.includes(v), message);
export const custom = <_T>(test: (value: any) => boolean, message?: Message): Schema =>
  schema("custom", test, message);
export const lazy = (get: (value: any) => Schema): Schema => ({ run: (value) => get(value).run(value) });

/** Keys that may be missing, and what stands for them. */
const ABSENT = Symbol("what stands for a missing value");
type Optional = Schema & { [ABSENT]?: () => unknown };

function absentAs(inner: Schema, empty: (value: unknown) => boolean, otherwise: unknown): Optional {
  const given = (): unknown => typeof otherwise === "function" ? otherwise() : otherwise;
  return {
    run: (value) => empty(value) ? (otherwise === undefined ? value : given()) : inner.run(value),
    [ABSENT]: given,
  };
}
export const optional = (inner: Schema, otherwise?: unknown): Schema =>
  absentAs(inner, (value) => value === undefined, otherwise);
export const nullish = (inner: Schema, otherwise?: unknown): Schema =>
  absentAs(inner, (value) => value === undefined || value === null, otherwise);
export const nullable = (inner: Schema): Schema => ({
  run: (value) => value === null ? null : inner.run(value),
});

type Entries = Record<string, Schema>;
function fields(entries: Entries, rest: "drop" | "keep" | "refuse", message: Message): Schema & { entries: Entries } {
  return {
    entries,
    run(value): Record<string, unknown> {
      if (!isObject(value)) fail("object", value, message, "Object");
      const result: Record<string, unknown> = {};
      for (const [key, inner] of Object.entries(entries)) {
        const absent = (inner as Optional)[ABSENT];
        if (key in value) result[key] = at(key, () => inner.run(value[key]));
        else if (absent === undefined) at(key, () => fail("object", undefined, message, `"${key}"`));
        else if (absent() !== undefined) result[key] = absent();
      }
      for (const key of Object.keys(value)) {
        if (key in entries) continue;
        if (rest === "refuse") at(key, () => fail("strict_object", key, message, "never"));
        if (rest === "keep") result[key] = value[key];
      }
      return result;
    },
  };
}
export const object = (entries: Entries, message?: Message): Schema => fields(entries, "drop", message);
export const looseObject = (entries: Entries, message?: Message): Schema => fields(entries, "keep", message);
export const strictObject = (entries: Entries, message?: Message): Schema => fields(entries, "refuse", message);

export const array = (item: Schema, message?: Message): Schema => ({
  run: (value) =>
    Array.isArray(value)
      ? value.map((each, i) => at(i, () => item.run(each)))
      : fail("array", value, message, "Array"),
});
function items(all: readonly Schema[], isExact: boolean, isKept: boolean): Schema {
  return {
    run(value): unknown[] {
      if (!Array.isArray(value) || value.length < all.length || isExact && value.length > all.length) {
        fail("tuple", value, undefined, "Array");
      }
      const list = value as unknown[];
      const first = all.map((item, i) => at(i, () => item.run(list[i])));
      return isKept ? [...first, ...list.slice(all.length)] : first;
    },
  };
}
export const tuple = (all: readonly Schema[]): Schema => items(all, false, false);
export const strictTuple = (all: readonly Schema[]): Schema => items(all, true, false);
export const looseTuple = (all: readonly Schema[]): Schema => items(all, false, true);

export const record = (key: Schema, value: Schema, message?: Message): Schema => ({
  run: (given) =>
    isObject(given)
      ? Object.fromEntries(
        Object.entries(given).map(([name, each]) => [key.run(name), at(name, () => value.run(each))]),
      )
      : fail("record", given, message, "Object"),
});
export const union = (options: readonly Schema[], message?: Message): Schema => ({
  run(value): unknown {
    for (const option of options) {
      const result = safeParse(option, value);
      if (result.success) return result.output;
    }
    return fail("union", value, message);
  },
});
export const variant = (key: string, options: readonly any[], message?: Message): Schema => ({
  run(value): unknown {
    if (!isObject(value)) fail("variant", value, message, "Object");
    const isOf = (option: any): boolean =>
      option.entries?.[key] === undefined || safeParse(option.entries[key], value[key]).success;
    const option = options.find((option) => option.entries !== undefined && isOf(option)) ??
      options.find((option) => option.entries === undefined);
    return option ? option.run(value) : at(key, () => fail("variant", value[key], message, key));
  },
});

export const pipe = (first: Schema, ...others: readonly any[]): Schema => ({
  ...first,
  run: (value) => others.reduce((value, { run }) => run(value), first.run(value)),
});
const action = (type: string, test: (value: any) => boolean, message: Message): Schema =>
  schema(type, test, message);
export const integer = (message?: Message): Schema => action("integer", Number.isInteger, message);
export const safeInteger = (message?: Message): Schema => action("safe_integer", Number.isSafeInteger, message);
export const finite = (message?: Message): Schema => action("finite", Number.isFinite, message);
export const minValue = (least: number, message?: Message): Schema => action("min_value", (v) => v >= least, message);
export const maxValue = (most: number, message?: Message): Schema => action("max_value", (v) => v <= most, message);
export const gtValue = (bound: number, message?: Message): Schema => action("gt_value", (v) => v > bound, message);
export const minLength = (least: number, message?: Message): Schema =>
  action("min_length", (v) => v.length >= least, message);
export const maxLength = (most: number, message?: Message): Schema =>
  action("max_length", (v) => v.length <= most, message);
export const length = (exactly: number, message?: Message): Schema =>
  action("length", (v) => v.length === exactly, message);
export const minEntries = (least: number, message?: Message): Schema =>
  action("min_entries", (v) => Object.keys(v).length >= least, message);
export const regex = (pattern: RegExp, message?: Message): Schema =>
  action("regex", (v) => pattern.test(v), message);
export const check = (test: (value: any) => boolean, message?: Message): Schema => action("check", test, message);
export const transform = (make: (value: any) => unknown): Schema => ({ run: make });
export const description = (_text: string): Schema => ({ run: (value) => value });

export function safeParse(
  { run }: Schema,
  value: unknown,
  _options?: object,
): { success: true; output: any } | { success: false; issues: [BaseIssue<unknown>] } {
  try {
    return { success: true, output: run(value) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { success: false, issues: [error.issue] };
  }
}
export const is = (schema: Schema, value: unknown): boolean => safeParse(schema, value).success;
export const getDotPath = ({ path }: BaseIssue<unknown>): string | null =>
  path ? path.map(({ key }) => key).join(".") : null;
