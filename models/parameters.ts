import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { xoroshiro128plus } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";
import type { Variable } from "./tape.ts";

/** Fills a parameter's elements from a seeded source of uniform numbers in [0, 1). */
export type Initial = (count: number, uniform: () => number) => Float32Array;

/** A parameter that a layer needs. */
export interface ParameterSpecification {
  /** Its name within the layer. */
  readonly name: string;
  /** Its extents; a linear map is `[outputs, inputs]`, as PyTorch stores it. */
  readonly shape: readonly number[];
  /** Its values before training. */
  readonly initial: Initial;
  /** Whether weight decay acts on it: linear maps only. */
  readonly decays: boolean;
}

/** Looks a layer's parameter up by its name within the layer. */
export type Parameters = (name: string) => Variable;

/** Normal values of the given deviation. */
export function normal(deviation: number): Initial {
  return (count, uniform) =>
    Float32Array.from({ length: count }, () => {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      return deviation * radius * Math.cos(2 * Math.PI * uniform());
    });
}

/** One value throughout. */
export function constant(value: number): Initial {
  return (count) => new Float32Array(count).fill(value);
}

/** Values computed from uniform numbers in [low, high), one each. */
export function fromUniform(
  low: number,
  high: number,
  map: (value: number) => number = (value) => value,
): Initial {
  return (count, uniform) =>
    Float32Array.from({ length: count }, () => map(low + (high - low) * uniform()));
}

/** The inverse softplus of a step Δ that is log-uniform in 0.001–0.1 (Gu & Dao 2023, section 3.6). */
export const LOG_UNIFORM_STEP: Initial = fromUniform(
  Math.log(0.001),
  Math.log(0.1),
  (log) => Math.log(Math.expm1(Math.exp(log))),
);

/** A linear map `[outputs, inputs]` with N(0, gain² / inputs) values. */
export function linear(
  name: string,
  outputs: number,
  inputs: number,
  gain = 1,
): ParameterSpecification {
  return {
    name,
    shape: [outputs, inputs],
    initial: normal(gain / Math.sqrt(inputs)),
    decays: true,
  };
}

/** A parameter that weight decay leaves alone: a norm's weight, a bias, a decay rate. */
export function free(
  name: string,
  shape: readonly number[],
  initial: Initial,
): ParameterSpecification {
  return { name, shape, initial, decays: false };
}

/** The specifications under a prefix, `prefix.name`. */
export function prefixed(
  prefix: string,
  specifications: readonly ParameterSpecification[],
): ParameterSpecification[] {
  return specifications.map((specification) => ({
    ...specification,
    name: `${prefix}.${specification.name}`,
  }));
}

/** The parameters under a prefix. */
export function scoped(parameters: Parameters, prefix: string): Parameters {
  return (name) => parameters(`${prefix}.${name}`);
}

/** Uniform numbers in [0, 1) that depend on the seed and the parameter's name alone. */
export function uniformSource(seed: number, name: string): () => number {
  let hash = seed >>> 0;
  for (const character of name) {
    hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0;
  }
  const generator: RandomGenerator = xoroshiro128plus(hash);
  return () => uniformFloat64(generator);
}
