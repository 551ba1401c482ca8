import { type AnyTensor, type DataType, Tensor } from "./tensor.ts";

/** The data types of an input that a kernel takes in 32 bits or in 16. */
export const FLOATS: readonly DataType[] = ["f32", "f16"];

/**
 * Checks one input of an op before the GPU is touched.
 *
 * @throws {RangeError} where the shape or the data type is another, saying what was expected.
 */
export function checkTensor(
  op: string,
  name: string,
  tensor: AnyTensor,
  shape: readonly number[],
  dtype: DataType | readonly DataType[] = "f32",
): void {
  checkGiven(op, name, tensor);
  if (
    tensor.shape.length !== shape.length || shape.some((extent, i) => extent !== tensor.shape[i])
  ) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have shape [${shape}]: current shape is [${tensor.shape}]`,
    );
  }
  const allowed = [dtype].flat();
  if (!allowed.includes(tensor.dtype)) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be ${
        allowed.join(" or ")
      }: current data type is ${tensor.dtype}`,
    );
  }
}

/** Checks how many axes an input has. @throws {RangeError} where it has another number. */
export function checkRank(
  op: string,
  name: string,
  tensor: AnyTensor,
  axes: readonly string[],
): void {
  checkGiven(op, name, tensor);
  if (tensor.shape.length !== axes.length) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must have shape [${
        axes.join(", ")
      }]: current shape is [${tensor.shape}]`,
    );
  }
}

function checkGiven(op: string, name: string, tensor: unknown): void {
  if (!(tensor instanceof Tensor)) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be a tensor: current value is ${shown(tensor)}`,
    );
  }
}

/** What an option may be: says what it must be where a value is not. */
export type OptionRule = (value: unknown) => string | undefined;

/** An integer from `low` to `high`. */
export function integer(low = -Infinity, high = Infinity): OptionRule {
  const kind = low === 1 ? "a positive integer" : "an integer";
  const from = low === -Infinity || low === 1 ? "" : ` from ${low}`;
  const to = high === Infinity ? low === -Infinity || low === 1 ? "" : " on" : ` to ${high}`;
  return (value) =>
    Number.isInteger(value) && Number(value) >= low && Number(value) <= high
      ? undefined
      : `${kind}${from}${to}`;
}

/** An integer of at least 1. */
export const positiveInteger: OptionRule = integer(1);

/** A finite number. */
export const finite: OptionRule = (value: unknown): string | undefined =>
  Number.isFinite(value) ? undefined : "a finite number";

/** A finite number greater than 0. */
export const positive: OptionRule = (value: unknown): string | undefined =>
  Number.isFinite(value) && Number(value) > 0 ? undefined : "a finite number greater than 0";

/** A finite number of at least 0. */
export const notNegative: OptionRule = (value: unknown): string | undefined =>
  Number.isFinite(value) && Number(value) >= 0 ? undefined : "a finite number of at least 0";

/** A number from 0 up to, but not including, 1. */
export const belowOne: OptionRule = (value: unknown): string | undefined =>
  typeof value === "number" && value >= 0 && value < 1 ? undefined : "a number from 0 to below 1";

/** A number greater than 0, infinity among them. */
export const aboveZero: OptionRule = (value: unknown): string | undefined =>
  typeof value === "number" && value > 0 ? undefined : "greater than 0";

/** True or false. */
export const flag: OptionRule = (value: unknown): string | undefined =>
  typeof value === "boolean" ? undefined : "true or false";

/** One of these values. */
export function oneOf(values: readonly unknown[]): OptionRule {
  return (value) => values.includes(value) ? undefined : `one of ${values.join(", ")}`;
}

/** A list of integers from `low` on. */
export function integers(low = 0): OptionRule {
  return (value) =>
    Array.isArray(value) && value.every((each) => Number.isInteger(each) && each >= low)
      ? undefined
      : `a list of integers from ${low} on`;
}

/** Anything: what is checked elsewhere, such as a tensor by its shape. */
export function anything(): undefined {}

/**
 * Checks the options of an op. An option that is undefined is one that is left out.
 *
 * @param rules Every option that ops of this kind have.
 * @param without Those of them that this op does not have.
 * @throws {RangeError} where an option is unknown, or a value is not what it must be.
 */
export function checkOptions<Options extends object>(
  op: string,
  options: Options,
  rules: { readonly [Name in keyof Required<Options>]: OptionRule },
  without: readonly (keyof Options)[] = [],
): void {
  const known = Object.keys(rules).filter((name) => !without.includes(name as keyof Options));
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!known.includes(name)) {
      throw new RangeError(
        `Cannot run ${op}() as it has no option ${name}: ${suggestion(name, "options", known)}`,
      );
    }
    checkOption(op, name, value, rules[name as keyof Options]);
  }
}

/**
 * Checks the names of an op's inputs, those too whose value is undefined.
 *
 * @param names Those of the op, and of its gradients: both may be handed the same tensors.
 * @throws {RangeError} for a name that is neither's.
 */
export function checkNames(op: string, inputs: object, names: readonly string[]): void {
  for (const name in inputs) {
    if (!names.includes(name)) {
      throw new RangeError(
        `Cannot run ${op}() as it has no input ${name}: ${suggestion(name, "inputs", names)}`,
      );
    }
  }
}

/** Checks one value of an op. @throws {RangeError} where it is not what it must be. */
export function checkOption(op: string, name: string, value: unknown, rule: OptionRule): void {
  const must = rule(value);
  if (must !== undefined) {
    throw new RangeError(
      `Cannot run ${op}() as ${name} must be ${must}: current value is ${shown(value)}`,
    );
  }
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : `[${value}]`.slice(1, -1);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** The name that is nearest to a misspelt one, or all. */
function suggestion(name: string, what: string, known: readonly string[]): string {
  if (known.length === 0) return "it has none";
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const near = known.find((each) => distance(plain(each), plain(name)) <= 2);
  return near === undefined ? `its ${what} are ${known.join(", ")}` : `did you mean ${near}?`;
}

/** How many letters must be changed, added or taken away to make one word of the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, swap);
    }
    row = next;
  }
  return row[b.length];
}
