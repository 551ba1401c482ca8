import {
  ACTIVATION_KINDS,
  causalConvolutionSteps,
  gatedRmsNorm,
  gatedRmsNormBackward,
  hasGatedRmsNormBackward,
  hasMamba2Inputs,
  hasMamba2InputsBackward,
  mamba2Inputs,
  mamba2InputsBackward,
  packRotaryFrequencies,
  project,
  rotaryAngles,
  rotaryAppend,
  rotaryFrequencies,
  softplusDecay,
  softplusDecayBackward,
  sumParts,
  type Tensor,
} from "../../../kernels/mod.ts";
import {
  ACTIVATION_REFERENCE,
  ACTIVATION_SLOPE_REFERENCE,
  softplusDecayReference,
} from "../../../kernels/activation/reference.ts";
import { sumToReference } from "../../../kernels/arithmetic/reference.ts";
import {
  causalConvolutionReference,
  mamba2InputsBackwardReference,
  mamba2InputsReference,
} from "../../../kernels/convolution/reference.ts";
import { projectReference } from "../../../kernels/matmul/reference.ts";
import {
  gatedRmsNormBackwardReference,
  gatedRmsNormReference,
} from "../../../kernels/norm/reference.ts";
import { cacheRowReference, rotaryReference } from "../../../kernels/position/reference.ts";
import type { Draws } from "../draws.ts";
import { compare, count, type KernelCase, upload } from "./compare.ts";

/** Limits of Mamba-2's step sizes, mostly none. */
const STEP_LIMITS: (readonly [low: number | undefined, high: number | undefined])[] = [
  [undefined, undefined],
  [undefined, undefined],
  [0.3, undefined],
  [undefined, 0.9],
  [0.3, 0.9],
];

/** What Mamba-2's inputs are made from. */
function mamba2Shapes(
  { batch, time, channels, stride, width, heads }: Readonly<
    Record<"batch" | "time" | "channels" | "stride" | "width" | "heads", number>
  >,
): Record<"x" | "weight" | "bias" | "initialTail" | "stepBias" | "decay", number[]> {
  return {
    x: [batch, time, stride],
    weight: [channels, width],
    bias: [channels],
    initialTail: [batch, width - 1, channels],
    stepBias: [heads],
    decay: [heads],
  };
}

/** An array or, now and then, nothing. */
function maybe(draws: Draws, name: string, make: () => Float32Array): Float32Array | undefined {
  return draws.option(name, [true, true, false]) ? make() : undefined;
}

/** Without an infinity: the kernels' exp stays at the largest f32, which is no infinity. */
function capped(logarithms: Float32Array): Float32Array {
  return logarithms.map((value) => value === Infinity ? NaN : value);
}

/** A cache whose row of each sequence is overwritten. */
function written(
  cache: Float32Array,
  token: ArrayLike<number>,
  { batch, rows, row, size }: { batch: number; rows: number; row: number; size: number },
): Float64Array {
  const all = Float64Array.from(cache);
  for (let i = 0; i < batch * size; i++) {
    all[(Math.floor(i / size) * rows + row) * size + i % size] = token[i];
  }
  return all;
}

/** Ops that do in one dispatch what a model's layer takes several for. */
export const FUSED: Readonly<Record<string, KernelCase>> = {
  async softplus_decay(gpu, draws): Promise<void> {
    const [rows, rates] = [draws.size("rows", 70, 0), draws.size("rates", 9, 0)];
    const channels = rates * draws.size("channels of a rate", 20, 0);
    const shapes = {
      x: [rows, channels],
      bias: [channels],
      rate: [rates],
      outputGradient: [rows, channels],
    };
    const arrays = {
      x: draws.normals(rows * channels, draws.option("magnitude", [1, 8, 30])),
      bias: draws.normals(channels),
      rate: draws.normals(rates, 2),
      outputGradient: draws.normals(rows * channels),
    };
    draws.poison(arrays);
    arrays.rate = capped(arrays.rate);
    using scope = new DisposableStack();
    const { outputGradient, ...inputs } = upload(gpu, scope, shapes, arrays);
    const expected = softplusDecayReference(
      arrays.x,
      arrays.bias,
      arrays.rate,
      arrays.outputGradient,
    );
    const gradients = softplusDecayBackward(gpu, { ...inputs, outputGradient });
    await compare(gpu, {
      output: softplusDecay(gpu, inputs).output,
      xGradient: gradients.xGradient,
      rateTerms: gradients.rateTerms,
    }, {
      ...expected,
      rateTerms: expected.output.map((value, i) => value * arrays.outputGradient[i]),
    }, { gradient: 1e-4 });
  },

  async causal_convolution_steps(gpu, draws): Promise<void> {
    const activation = draws.option("activation", ["silu", "none"] as const);
    const inPlace = draws.option("inPlace", [false, true]);
    const [batch, width] = [draws.size("batch", 3, 0), draws.size("width", 9)];
    using scope = new DisposableStack();
    const each = Array.from({ length: draws.note("convolutions", draws.integer(0, 7)) }, (_, i) => {
      const channels = draws.size(`channels ${i}`, 70, 0);
      const arrays = {
        x: draws.normals(batch * channels),
        weight: draws.normals(channels * width),
        bias: maybe(draws, `bias ${i}`, () => draws.normals(channels)),
        tail: draws.normals(batch * (width - 1) * channels),
      };
      draws.poison({ x: arrays.x, bias: arrays.bias, tail: arrays.tail });
      const shapes = {
        x: [batch, 1, channels],
        weight: [channels, width],
        bias: [channels],
        tail: [batch, width - 1, channels],
      };
      const expected = causalConvolutionReference({
        ...arrays,
        bias: arrays.bias ?? new Float32Array(channels),
        initialTail: arrays.tail,
      }, { batch, time: 1, channels, width, activation });
      return { inputs: upload(gpu, scope, shapes, arrays), expected };
    });
    const outputs = causalConvolutionSteps(
      gpu,
      each.map(({ inputs }) => inputs),
      { activation, inPlace },
    );
    if (outputs.length !== each.length) throw new Error(`there are ${outputs.length} outputs`);
    for (const [i, { output, finalTail }] of outputs.entries()) {
      await compare(gpu, { output, finalTail }, { ...each[i].expected });
    }
  },

  async mamba2_inputs(gpu, draws): Promise<void> {
    if (!hasMamba2Inputs(gpu)) return; // models take the ops it joins
    const inPlace = draws.option("inPlace", [false, false, true]);
    const [batch, time] = [draws.size("batch", 3, 0), inPlace ? 1 : draws.size("time", 70, 0)];
    const [heads, headDim] = [draws.size("heads", 5, 0), draws.size("headDim", 20)];
    const [shared, width] = [draws.size("shared", 20, 0), draws.size("width", 6)];
    const start = draws.size("start", 20, 0);
    const [low, high] = draws.option("limits", STEP_LIMITS);
    const channels = heads * headDim + 2 * shared;
    const stride = start + channels + heads;
    const shapes = mamba2Shapes({ batch, time, channels, stride, width, heads });
    const tail = (): Float32Array => draws.normals(batch * (width - 1) * channels);
    const arrays = {
      x: draws.normals(batch * time * stride, 2),
      weight: draws.normals(channels * width),
      bias: maybe(draws, "bias", () => draws.normals(channels)),
      initialTail: inPlace ? tail() : maybe(draws, "initialTail", tail),
      stepBias: draws.normals(heads),
      decay: draws.normals(heads, 2),
    };
    draws.poison(arrays, { chance: 0.2 });
    arrays.decay = capped(arrays.decay);
    using scope = new DisposableStack();
    const expected = mamba2InputsReference(arrays, {
      ...{ batch, time, heads, headDim, shared, width, start },
      low: low ?? 0,
      high: high ?? Infinity,
    });
    const inputs = upload(gpu, scope, shapes, arrays);
    const outputs = mamba2Inputs(gpu, inputs, { headDim, low, high, inPlace });
    await compare(gpu, { ...outputs }, expected);
  },

  async mamba2_inputs_backward(gpu, draws): Promise<void> {
    const [batch, time] = [draws.size("batch", 3), draws.size("time", 140)];
    // Now and then what does not fill vectors of four, which it refuses.
    const fours = draws.option("fours", [...Array<number>(9).fill(4), 1]);
    const [heads, headDim] = [fours * draws.size("heads", 3), fours * draws.size("headDim", 5)];
    const [shared, start] = [fours * draws.size("shared", 5), fours * draws.size("start", 5, 0)];
    const width = draws.size("width", draws.choose([8, 8, 8, 9]));
    const [low, high] = draws.option("limits", STEP_LIMITS);
    const channels = heads * headDim + 2 * shared;
    const stride = start + channels + heads;
    const shapes = mamba2Shapes({ batch, time, channels, stride, width, heads });
    const gradientShapes = {
      gateGradient: [batch, time, start],
      valuesGradient: [batch, time, heads, headDim],
      inputGradient: [batch, time, heads, headDim],
      keyGradient: [batch, time, shared],
      queryGradient: [batch, time, shared],
      logDecayGradient: [batch, time, heads],
      finalTailGradient: [batch, width - 1, channels],
    };
    const optional = (name: "bias" | "initialTail"): Float32Array | undefined =>
      maybe(draws, name, () => draws.normals(count(shapes[name])));
    const arrays = {
      x: draws.normals(batch * time * stride, 2),
      weight: draws.normals(channels * width),
      bias: optional("bias"),
      initialTail: optional("initialTail"),
      stepBias: draws.normals(heads),
      decay: draws.normals(heads),
    };
    const names = Object.keys(gradientShapes) as (keyof typeof gradientShapes)[];
    const all = draws.option("all gradients", [true, false]);
    const drawn = Object.fromEntries(names.map((name) => {
      const make = (): Float32Array => draws.normals(count(gradientShapes[name]));
      return [name, all ? make() : maybe(draws, name, make)];
    })) as Record<typeof names[number], Float32Array | undefined>;
    // A gradient that is left out is not read; in the reference it is 0, and 0 times NaN would be NaN.
    if (all) draws.poison({ ...arrays, ...drawn }, { chance: 0.3 });
    arrays.decay = capped(arrays.decay);
    using scope = new DisposableStack();
    const given = upload(gpu, scope, shapes, arrays);
    const inputs = { ...given, ...upload(gpu, scope, gradientShapes, drawn) };
    const options = { headDim, low, high };
    if (!hasMamba2InputsBackward(gpu, given, { headDim })) { // models take the ops it joins
      try {
        mamba2InputsBackward(gpu, inputs, options)[Symbol.dispose]();
      } catch (error) {
        if (error instanceof RangeError) return;
        throw error;
      }
      throw new Error("it runs where it says that it does not");
    }
    const { bias, initialTail } = arrays;
    const zeros = Object.fromEntries(
      names.map((name) => [name, drawn[name] ?? new Float32Array(count(gradientShapes[name]))]),
    ) as Record<typeof names[number], Float32Array>;
    const gradients = mamba2InputsBackward(gpu, inputs, options);
    for (const [name, input] of Object.entries({ bias, initialTail })) {
      if (`${name}Gradient` in gradients === (input !== undefined)) continue;
      throw new Error(`${name}Gradient is there, or left out, where ${name} is not`);
    }
    await compare(
      gpu,
      { ...gradients },
      mamba2InputsBackwardReference({ ...arrays, ...zeros }, {
        ...{ batch, time, heads, headDim, shared, width, start },
        low: low ?? 0,
        high: high ?? Infinity,
      }),
      { floor: 0.01 },
    );
  },

  async sum_parts(gpu, draws): Promise<void> {
    using scope = new DisposableStack();
    const each = Array.from({ length: draws.note("tensors", draws.integer(0, 9)) }, (_, i) => {
      const parts = draws.size(`parts ${i}`, draws.choose([9, 300]), 0);
      const shape = Array.from(
        { length: draws.integer(0, 3) },
        (_, axis) => draws.size(`axis ${axis} of ${i}`, 17, draws.chance(0.05) ? 0 : 1),
      );
      return { shape: [parts, ...shape], array: draws.normals(count([parts, ...shape])) };
    });
    draws.poison(Object.fromEntries(each.map(({ array }, i) => [`parts ${i}`, array])));
    const { sums } = sumParts(gpu, {
      parts: each.map(({ shape, array }) => scope.use(gpu.tensor(shape, array))),
    });
    if (sums.length !== each.length) throw new Error(`there are ${sums.length} sums`);
    for (const [i, { shape, array }] of each.entries()) {
      const sum = sums[i];
      if (`${sum.shape}` !== `${shape.slice(1)}`) throw new Error(`sum ${i} is [${sum.shape}]`);
      const expected = sumToReference(array, shape, [1, ...shape.slice(1)]);
      await compare(gpu, { sum }, { sum: expected }, { floor: 0.01 });
    }
  },

  async gated_rms_norm(gpu, draws): Promise<void> {
    const [tokens, groups] = [draws.size("tokens", 40, 0), draws.option("groups", [1, 1, 2, 3])];
    const width = draws.size("width", draws.chance(0.1) ? 1100 : 130, 0);
    const channels = groups * width;
    const heads = draws.option(
      "skips",
      [undefined, 1, 2, 3, 4, channels].filter((count) => count !== 0 && !(channels % count! > 0)),
    );
    const weightSize = draws.option("weights", [undefined, width, channels]);
    const [gateStart, behind] = [
      draws.option("gateStart", [0, 0, 4, 3]),
      draws.choose([0, 0, 8, 5]),
    ];
    const gates = draws.note("gates", gateStart + channels + behind);
    const [magnitude, gateMagnitude] = [
      draws.option("magnitude", [1, 1e-3, 1e4]),
      draws.choose([1, 5]),
    ];
    const arrays = {
      x: draws.normals(tokens * channels, magnitude),
      weight: weightSize === undefined ? undefined : draws.normals(weightSize),
      gate: maybe(draws, "gate", () => draws.normals(tokens * gates, gateMagnitude)),
      values: heads === undefined ? undefined : draws.normals(tokens * channels, magnitude),
      skip: heads === undefined ? undefined : draws.normals(heads),
    };
    draws.poison(arrays);
    const activation = draws.option("activation", [undefined, ...ACTIVATION_KINDS]);
    const act = ACTIVATION_REFERENCE[activation ?? "silu"];
    const gateFirst = draws.option("gateFirst", [false, true]);
    const epsilon = draws.option("epsilon", [1e-5, 1e-6]);
    const shapes = {
      x: [tokens, 1, channels],
      weight: [weightSize ?? 0],
      gate: [tokens, 1, gates],
      values: [tokens, 1, channels],
      skip: [heads ?? 0],
    };
    using scope = new DisposableStack();
    const { output } = gatedRmsNorm(gpu, upload(gpu, scope, shapes, arrays), {
      ...{ groups, epsilon, gateFirst, gateStart },
      ...(activation ? { activation } : {}),
    });
    const { gate } = arrays;
    await compare(gpu, { output }, {
      output: gatedRmsNormReference({
        ...arrays,
        gate: gate && Float64Array.from(
          { length: tokens * channels },
          (_, i) => act(gate[Math.floor(i / channels) * gates + gateStart + i % channels]),
        ),
      }, { channels, groups, gateFirst, epsilon }),
    });
  },

  async gated_rms_norm_backward(gpu, draws): Promise<void> {
    const [tokens, groups] = [draws.size("tokens", 300, 0), draws.option("groups", [1, 1, 2, 3])];
    const heads = draws.option("heads", [undefined, 1, 2, 4]);
    const channels = groups * (heads ?? 1) * 4 * draws.integer(1, Math.floor(16 / (heads ?? 1)));
    const width = draws.note("width", channels / groups);
    const size = tokens * channels;
    const magnitude = draws.option("magnitude", [1, 1e-2, 1e2]);
    const arrays = {
      x: draws.normals(size, magnitude),
      weight: maybe(draws, "weight", () => draws.normals(draws.choose([width, channels]))),
      gate: maybe(draws, "gate", () => draws.normals(size)),
      values: heads ? draws.normals(size, magnitude) : undefined,
      skip: heads ? draws.normals(heads * groups) : undefined,
      outputGradient: draws.normals(size),
    };
    const activation = draws.option("activation", ACTIVATION_KINDS);
    const gateFirst = draws.option("gateFirst", [false, true]);
    const options = { groups, epsilon: 1e-5, gateFirst, activation };
    const row = [tokens, channels];
    const [weight, skip] = [[arrays.weight?.length ?? 0], [arrays.skip?.length ?? 0]];
    const shapes = { x: row, weight, gate: row, values: row, skip, outputGradient: row };
    using scope = new DisposableStack();
    const inputs = upload(gpu, scope, shapes, arrays);
    if (!hasGatedRmsNormBackward(gpu, inputs, options)) return; // models take the ops it joins
    const gradients = gatedRmsNormBackward(gpu, inputs, options);
    const { gate } = arrays;
    const expected = gatedRmsNormBackwardReference({
      ...arrays,
      gate: gate?.map(ACTIVATION_REFERENCE[activation]),
    }, { channels, groups, gateFirst, epsilon: 1e-5 });
    const slope = ACTIVATION_SLOPE_REFERENCE[activation];
    const gateGradient = expected.gateGradient.map((value, i) => value * slope(gate?.[i] ?? 0));
    await compare(gpu, { ...gradients }, { ...expected, gateGradient }, { floor: 0.01 });
  },

  async project(gpu, draws): Promise<void> {
    const rows = draws.size("rows", 9, 0);
    const reduction = 4 * draws.size("quarter of the reduction", draws.chance(0.1) ? 520 : 40);
    const gated = draws.option("gated", [false, false, true]);
    const f16 = gpu.supportsF16 && draws.option("f16", [false, false, true]);
    const dtype = f16 ? "f16" : "f32";
    const round = (values: Float32Array): Float32Array =>
      f16 ? Float32Array.from(new Float16Array(values)) : values;
    const first = draws.size("columns 0", 140, 0);
    const length = gated ? 2 : draws.note("projections", draws.integer(1, 6));
    const projections = Array.from({ length }, (_, i) => {
      const columns = gated || i === 0 ? first : draws.size(`columns ${i}`, 140, 0);
      return {
        columns,
        weight: round(draws.normals(columns * reduction, reduction ** -0.5)),
        bias: maybe(draws, `bias ${i}`, () => round(draws.normals(columns))),
        activation: gated && i > 0
          ? undefined
          : draws.option(`activation ${i}`, [undefined, undefined, ...ACTIVATION_KINDS]),
      };
    });
    const arrays = {
      x: draws.normals(rows * reduction, draws.option("magnitude", [1, 3])),
      normWeight: maybe(draws, "normWeight", () => draws.normals(reduction)),
      addend: maybe(draws, "addend", () => draws.normals(rows * first)),
    };
    const { weight, bias } = draws.choose(projections);
    draws.poison({ ...arrays, weight, bias });
    const shapes = { x: [rows, 1, reduction], normWeight: [reduction], addend: [rows, 1, first] };
    const factor = draws.option("factor", [1, 1, 0.0625, -3]);
    const epsilon = draws.option("epsilon", [1e-5, 1e-3]);
    using scope = new DisposableStack();
    const tensor = (shape: number[], values: Float32Array): Tensor =>
      scope.use(gpu.tensor(shape, values, dtype));
    const { outputs } = project(gpu, {
      ...upload(gpu, scope, shapes, arrays),
      projections: projections.map(({ columns, weight, bias, activation }) => ({
        weight: tensor([columns, reduction], weight),
        ...(bias ? { bias: tensor([columns], bias) } : {}),
        ...(activation ? { activation } : {}),
      })),
    }, { factor, epsilon, gated });
    const { x, normWeight, addend } = arrays;
    const products = projections.map(({ columns, weight, bias, activation }, i) =>
      projectReference({ x, weight, bias, normWeight }, { rows, columns, reduction }, {
        ...{ epsilon, factor: gated && i > 0 ? 1 : factor },
        ...(activation ? { activation: ACTIVATION_REFERENCE[activation] } : {}),
      })
    );
    const whole = gated ? [products[0].map((value, i) => value * products[1][i])] : products;
    const expected = whole.map((product, i) =>
      product.map((value, at) => value + (i === 0 && addend ? addend[at] : 0))
    );
    if (outputs.length !== expected.length) throw new Error(`there are ${outputs.length} outputs`);
    const named = <Value>(values: readonly Value[]): Record<string, Value> =>
      Object.fromEntries(values.map((value, i) => [`output ${i}`, value]));
    await compare(gpu, named(outputs), named(expected), { floor: 0.01 });
  },

  async rotary_append(gpu, draws): Promise<void> {
    const [batch, rows] = [draws.size("batch", 3, 0), draws.size("rows", 40)];
    const [heads, keyHeads] = [draws.size("heads", 5, 0), draws.size("keyHeads", 3, 0)];
    const [dim, valueDim] = [draws.size("dim", 70), draws.size("valueDim", 70, 0)];
    const sinks = draws.note("sinks", draws.integer(0, rows - 1));
    const at = draws.size("position", draws.choose([rows - 1, 3 * rows, 100_000]), 0);
    const pairs = draws.note("pairs", draws.integer(0, Math.floor(dim / 2))); // 0: nothing turns
    const base = draws.option("base", [100, 10_000, undefined]);
    const angles = pairs === 0
      ? new Float64Array()
      : base === undefined
      ? Float64Array.from(draws.uniforms(pairs))
      : rotaryAngles({ dim: 2 * pairs, base });
    const shapes = {
      query: [batch, 1, heads, dim],
      key: [batch, 1, keyHeads, dim],
      value: [batch, 1, keyHeads, valueDim],
      keyCache: [batch, rows, keyHeads, dim],
      valueCache: [batch, rows, keyHeads, valueDim],
    };
    const arrays = {
      query: pairs === 0 ? undefined : draws.normals(batch * heads * dim),
      key: draws.normals(batch * keyHeads * dim),
      value: draws.normals(batch * keyHeads * valueDim),
      keyCache: draws.normals(batch * rows * keyHeads * dim),
      valueCache: draws.normals(batch * rows * keyHeads * valueDim),
    };
    draws.poison(arrays);
    using scope = new DisposableStack();
    using position = gpu.tensor([1], [at], "u32");
    using frequencies = pairs === 0
      ? undefined
      : base === undefined
      ? packRotaryFrequencies(gpu, angles)
      : rotaryFrequencies(gpu, { dim: 2 * pairs, base });
    const inputs = upload(gpu, scope, shapes, arrays);
    const { query } = rotaryAppend(gpu, { ...inputs, frequencies, position }, { sinks });
    const { keyCache, valueCache } = inputs;
    const places = { frequencies: angles, positions: new Array<number>(batch).fill(at) };
    const turned = (x: Float32Array, heads: number): Float64Array =>
      rotaryReference({ x, ...places }, { heads, dim });
    const where = { batch, rows, row: cacheRowReference(at, rows, sinks) };
    if ((query === undefined) !== (pairs === 0)) throw new Error(`query is ${query}`);
    await compare(gpu, {
      query,
      keyCache: keyCache.reshape(keyCache.shape),
      valueCache: valueCache.reshape(valueCache.shape),
    }, {
      query: turned(arrays.query ?? new Float32Array(), heads),
      keyCache: written(arrays.keyCache, turned(arrays.key, keyHeads), {
        ...where,
        size: keyHeads * dim,
      }),
      valueCache: written(arrays.valueCache, arrays.value, { ...where, size: keyHeads * valueDim }),
    });
  },
};
