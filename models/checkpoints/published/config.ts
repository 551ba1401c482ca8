import * as v from "valibot";
import { check, listOf, parsePythonJson, type Schema, showValue, TEXT } from "../../schema.ts";

/** By which a checkpoint is recognised. */
const SIGNS = v.object({
  architectures: v.nullish(listOf(TEXT), []),
  model_type: v.nullish(TEXT),
});

/** A checkpoint's own `config.json`: its values as parsed, which a family's schema checks. */
export class CheckpointConfig {
  /** The file, for errors. */
  readonly source: string;
  /** All values. */
  readonly values: Readonly<Record<string, unknown>>;

  /** Over parsed values. */
  constructor(values: Readonly<Record<string, unknown>>, source: string) {
    this.values = values;
    this.source = source;
  }

  /** Parses a file. @throws {Error} where it holds no object. */
  static parse(text: string, source: string): CheckpointConfig {
    const values = parsePythonJson(text, source);
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw new Error(`Cannot read ${source}: it must hold an object`);
    }
    return new CheckpointConfig(values as Record<string, unknown>, source);
  }

  /** Whether there is a value other than null. */
  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null;
  }

  /** What a schema makes of the values. @throws {Error} that names the file, the field, what was expected and found. */
  check<Output>(schema: Schema<Output>): Output {
    return check(schema, this.values, this.source);
  }

  /** The classes that it names. */
  get architectures(): readonly string[] {
    return this.check(SIGNS).architectures;
  }

  /** The kind of model that it names, in transformers' words. */
  get modelType(): string | null | undefined {
    return this.check(SIGNS).model_type;
  }

  /**
   * The quotient of two values, each given with its key: `file.divide({ hidden_size }, { num_heads })`.
   *
   * @throws {Error} where it is not whole.
   */
  divide(of: Readonly<Record<string, number>>, by: Readonly<Record<string, number>>): number {
    const [[ofKey, dividend]] = Object.entries(of);
    const [[key, divisor]] = Object.entries(by);
    if (dividend % divisor === 0) return dividend / divisor;
    return this.fail(`"${key}" must divide "${ofKey}" (${dividend}): current value is ${divisor}`);
  }

  /** @throws {Error} always: a value is not what it must be. */
  failOn(key: string, expected: string): never {
    return this.fail(
      `"${key}" must be ${expected}: current value is ${showValue(this.values[key])}`,
    );
  }

  /** @throws {Error} always: the file cannot be read, and why. */
  fail(reason: string): never {
    throw new Error(`Cannot read ${this.source}: ${reason}`);
  }
}
