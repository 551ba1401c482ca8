/**
 * A checkpoint's own `config.json`, read with checks: what is missing, of another type or not
 * supported is an error that names the file and the key.
 */
export class CheckpointConfig {
  /** The file, for errors. */
  readonly source: string;
  readonly #values: Readonly<Record<string, unknown>>;

  /** Over parsed values. */
  constructor(values: Readonly<Record<string, unknown>>, source: string) {
    this.#values = values;
    this.source = source;
  }

  /** Parses a file. Python writes `Infinity` and `NaN`, which are no JSON. @throws {Error} for other text. */
  static parse(text: string, source: string): CheckpointConfig {
    const json = text.replace(
      /("(?:[^"\\]|\\.)*")|-?\bInfinity\b|\bNaN\b/g,
      (found, string) =>
        string ?? (found === "NaN" ? "null" : found === "Infinity" ? "1e999" : "-1e999"),
    );
    let values: unknown;
    try {
      values = JSON.parse(json);
    } catch (error) {
      throw new Error(`Cannot read ${source}: it is no JSON (${(error as Error).message})`);
    }
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw new Error(`Cannot read ${source}: it must hold an object`);
    }
    return new CheckpointConfig(values as Record<string, unknown>, source);
  }

  /** All values. */
  get values(): Readonly<Record<string, unknown>> {
    return this.#values;
  }

  /** Whether there is a value other than null. */
  has(key: string): boolean {
    return this.#values[key] !== undefined && this.#values[key] !== null;
  }

  /** A number, or the fallback where it is absent or null. @throws {Error} where there is neither. */
  number(key: string, fallback?: number): number {
    return this.#read(key, "a number", isNumber, fallback);
  }

  /** A boolean, or the fallback where it is absent or null. @throws {Error} where there is neither. */
  boolean(key: string, fallback?: boolean): boolean {
    return this.#read(key, "true or false", isBoolean, fallback);
  }

  /** A string, or the fallback where it is absent or null. @throws {Error} where there is neither. */
  string(key: string, fallback?: string): string {
    return this.#read(key, "a string", isString, fallback);
  }

  /** A list, or the fallback where it is absent or null. @throws {Error} where there is neither. */
  list(key: string, fallback?: readonly unknown[]): readonly unknown[] {
    const value = this.has(key) ? this.#values[key] : fallback;
    if (Array.isArray(value)) return value;
    return this.fail(`"${key}" must be a list: current value is ${JSON.stringify(value)}`);
  }

  /** An object within, empty where it is absent or null. */
  object(key: string): CheckpointConfig {
    const value = this.has(key) ? this.#values[key] : {};
    if (typeof value !== "object" || Array.isArray(value)) {
      this.fail(`"${key}" must be an object: current value is ${JSON.stringify(value)}`);
    }
    return new CheckpointConfig(value as Record<string, unknown>, `${this.source}, "${key}"`);
  }

  /** One of the given strings. @throws {Error} that lists them. */
  choice<Value>(key: string, choices: Readonly<Record<string, Value>>, fallback: string): Value {
    const chosen = this.string(key, fallback);
    if (Object.hasOwn(choices, chosen)) return choices[chosen];
    return this.fail(
      `"${key}" must be one of ${Object.keys(choices).join(", ")}: current value is "${chosen}"`,
    );
  }

  /** @throws {Error} always: the file cannot be read, and why. */
  fail(reason: string): never {
    throw new Error(`Cannot read ${this.source}: ${reason}`);
  }

  #read<Value>(
    key: string,
    kind: string,
    is: (value: unknown) => value is Value,
    fallback?: Value,
  ): Value {
    const value = this.has(key) ? this.#values[key] : fallback;
    if (is(value)) return value;
    return this.fail(
      value === undefined
        ? `it must give "${key}"`
        : `"${key}" must be ${kind}: current value is ${JSON.stringify(value)}`,
    );
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}
