import {
  activation,
  ACTIVATION_KINDS,
  activationBackward,
  adamW,
  adamWAll,
  adamWSchedule,
  add,
  argmax,
  concatenate,
  concatenateTime,
  crossEntropy,
  crossEntropyBackward,
  embedding,
  embeddingBackward,
  gatedActivation,
  gatedActivationBackward,
  gatherRows,
  gatherRowsBackward,
  gradientNorm,
  layerNorm,
  layerNormBackward,
  matmul,
  matmulParts,
  multiply,
  multiplyBackward,
  packRotaryFrequencies,
  rmsNorm,
  rmsNormBackward,
  rotary,
  rotaryAngles,
  rotaryBackward,
  rotaryFrequencies,
  scale,
  sliceTime,
  split,
  sumParts,
  sumTo,
} from "../../../kernels/mod.ts";
import {
  ACTIVATION_REFERENCE,
  ACTIVATION_SLOPE_REFERENCE,
} from "../../../kernels/activation/reference.ts";
import { combineReference, sumToReference } from "../../../kernels/arithmetic/reference.ts";
import {
  embeddingBackwardReference,
  embeddingReference,
} from "../../../kernels/embedding/reference.ts";
import {
  crossEntropyBackwardReference,
  crossEntropyReference,
} from "../../../kernels/loss/reference.ts";
import { matmulReference } from "../../../kernels/matmul/reference.ts";
import {
  layerNormBackwardReference,
  layerNormReference,
  rmsNormBackwardReference,
  rmsNormReference,
} from "../../../kernels/norm/reference.ts";
import { adamWReference, gradientNormReference } from "../../../kernels/optimizer/reference.ts";
import { rotaryReference } from "../../../kernels/position/reference.ts";
import { argmaxReference } from "../../../kernels/sampling/reference.ts";
import { compare, count, type KernelCase, upload } from "./compare.ts";

/** An elementwise function of arrays. */
function by(length: number, f: (index: number) => number): Float64Array {
  return Float64Array.from({ length }, (_, i) => f(i));
}

/** What a model is made of beside its mixers. */
export const LAYERS: Readonly<Record<string, KernelCase>> = {
  async activation(gpu, draws): Promise<void> {
    const kind = draws.option("kind", ACTIVATION_KINDS);
    const size = draws.size("size", 2000, 0);
    const magnitude = draws.option("magnitude", [1, 5, 30]);
    const arrays = {
      gate: draws.normals(size, magnitude),
      x: draws.normals(size),
      outputGradient: draws.normals(size),
    };
    const [value, slope] = [ACTIVATION_REFERENCE[kind], ACTIVATION_SLOPE_REFERENCE[kind]];
    const { gate: g, x: other, outputGradient: d } = arrays;
    using gate = gpu.tensor([size], g);
    using x = gpu.tensor([size], other);
    using outputGradient = gpu.tensor([size], d);
    const gated = gatedActivationBackward(gpu, { gate, x, outputGradient }, { kind });
    await compare(gpu, {
      output: activation(gpu, { x: gate }, { kind }).output,
      gated: gatedActivation(gpu, { gate, x }, { kind }).output,
      plainGradient: activationBackward(gpu, { x: gate, outputGradient }, { kind }).xGradient,
      ...gated,
    }, {
      output: by(size, (i) => value(g[i])),
      gated: by(size, (i) => value(g[i]) * other[i]),
      plainGradient: by(size, (i) => slope(g[i]) * d[i]),
      gateGradient: by(size, (i) => slope(g[i]) * other[i] * d[i]),
      xGradient: by(size, (i) => value(g[i]) * d[i]),
    }, { gradient: 1e-4 });
  },

  async broadcast(gpu, draws): Promise<void> {
    const shape = Array.from({ length: draws.integer(1, 4) }, (_, i) => draws.size(`axis ${i}`, 9));
    const from = draws.integer(0, shape.length);
    const to = draws.integer(from, shape.length);
    const bShape = shape.map((extent, i) => i >= from && i < to ? extent : 1);
    draws.note("shapes", [shape, bShape]);
    const arrays = { a: draws.normals(count(shape)), b: draws.normals(count(bShape)) };
    draws.poison(arrays);
    const g = draws.normals(count(shape));
    using a = gpu.tensor(shape, arrays.a);
    using b = gpu.tensor(bShape, arrays.b);
    using outputGradient = gpu.tensor(shape, g);
    const factor = draws.normals(1)[0];
    const ga = combineReference("multiply", g, arrays.a, shape, shape);
    await compare(gpu, {
      sum: add(gpu, { a, b }).output,
      product: multiply(gpu, { a, b }).output,
      total: sumTo(gpu, { x: a }, { shape: bShape }).output,
      scaled: scale(gpu, { x: a }, { factor }).output,
      ...multiplyBackward(gpu, { a, b, outputGradient }),
    }, {
      sum: combineReference("add", arrays.a, arrays.b, shape, bShape),
      product: combineReference("multiply", arrays.a, arrays.b, shape, bShape),
      total: sumToReference(arrays.a, shape, bShape),
      scaled: by(count(shape), (i) => arrays.a[i] * factor),
      aGradient: combineReference("multiply", g, arrays.b, shape, bShape),
      bGradient: sumToReference(ga, shape, bShape),
    });
  },

  async copies(gpu, draws): Promise<void> {
    const sizes = Array.from(
      { length: draws.integer(1, 4) },
      (_, i) => draws.size(`size ${i}`, 20, 0),
    );
    const width = sizes.reduce((sum, size) => sum + size, 0);
    const [batch, time] = [draws.size("batch", 3), draws.size("time", 20)];
    const data = draws.normals(batch * time * width);
    using x = gpu.tensor([batch, time, width], data);
    const { outputs } = split(gpu, { x }, { sizes });
    const cut = draws.note("cut", draws.integer(0, time));
    const halves = [[0, cut], [cut, time - cut]].map(([start, length]) =>
      sliceTime(gpu, { x }, { start, length }).output
    );
    const rows = batch * time;
    const picked = draws.integers(draws.size("picked", 9), 0, rows);
    using indices = gpu.tensor([picked.length], picked, "u32");
    using flat = x.reshape([rows, width]);
    const gathered = gatherRows(gpu, { x: flat, indices }).output;
    const distinct = new Set(picked).size === picked.length;
    await compare(gpu, {
      whole: concatenate(gpu, { inputs: outputs }).output,
      again: concatenateTime(gpu, { inputs: halves }).output,
      gathered: gathered.reshape(gathered.shape),
      ...(distinct
        ? gatherRowsBackward(gpu, { outputGradient: gathered, indices }, { rows })
        : undefined),
    }, {
      whole: data,
      again: data,
      gathered: by(
        picked.length * width,
        (i) => data[picked[Math.floor(i / width)] * width + i % width] ?? 0,
      ),
      xGradient: by(rows * width, (i) => picked.includes(Math.floor(i / width)) ? data[i] : 0),
    }, { value: 0, gradient: 0 });
    for (const tensor of [...outputs, ...halves, gathered]) tensor[Symbol.dispose]();
  },

  async embedding(gpu, draws): Promise<void> {
    const vocabulary = draws.size("vocabulary", 300);
    const [width, tokensCount] = [draws.size("width", 40), draws.size("count", 300)];
    // A token past the vocabulary has no row.
    const ids = draws.integers(tokensCount, 0, vocabulary);
    const rows = draws.normals(vocabulary * width);
    const gradient = draws.normals(tokensCount * width);
    using tokens = gpu.tensor([tokensCount], ids, "u32");
    using weight = gpu.tensor([vocabulary, width], rows);
    using outputGradient = gpu.tensor([tokensCount, width], gradient);
    await compare(gpu, {
      ...embedding(gpu, { tokens, weight }),
      ...embeddingBackward(gpu, { tokens, outputGradient }, { vocabulary }),
    }, {
      output: embeddingReference(ids, rows, width),
      weightGradient: embeddingBackwardReference(ids, gradient, vocabulary),
    }, { value: 0 });
  },

  async cross_entropy(gpu, draws): Promise<void> {
    const [rows, vocabulary] = [draws.size("rows", 80), draws.size("vocabulary", 1100)];
    const magnitude = draws.option("logits of about", [1, 30, 1000]);
    const x = draws.normals(rows * vocabulary, magnitude);
    const y = draws.integers(rows, 0, vocabulary); // the last is ignored
    const weights = draws.option("weighted", [false, true])
      ? draws.uniforms(rows, 0.5, 2)
      : new Float32Array(rows).fill(1);
    using logits = gpu.tensor([rows, vocabulary], x);
    using labels = gpu.tensor([rows], y, "u32");
    using rowWeights = gpu.tensor([rows], weights);
    const { loss, logSumExp, correct } = crossEntropy(gpu, { logits, labels, rowWeights });
    using hits = correct;
    const z = logSumExp.reshape(logSumExp.shape);
    const gradients = crossEntropyBackward(gpu, { logits, labels, logSumExp, rowWeights }, {
      scale: 0.25,
    });
    const expected = crossEntropyReference(x, y);
    // A loss is what is left of two logits.
    await compare(gpu, { loss, logSumExp: z }, {
      loss: expected.loss.map((value, i) => value * weights[i]),
      logSumExp: expected.logSumExp,
    }, { floor: 0.05 * magnitude });
    await compare(gpu, { ...gradients }, {
      logitsGradient: crossEntropyBackwardReference(x, y, weights.map((value) => value * 0.25)),
    }, { floor: 0.01 });
    logSumExp[Symbol.dispose]();
    const got = await hits.read();
    const wrong = got.findIndex((hit, i) => hit !== expected.correct[i]);
    if (wrong >= 0) throw new Error(`correct is ${got[wrong]} at ${wrong}`);
  },

  async matmul(gpu, draws): Promise<void> {
    const batches = draws.option("batches", [[], [], [3], [2, 2]]);
    const rows = draws.size("rows", 70);
    const columns = draws.size("columns", 70);
    const reduction = draws.size("reduction", draws.chance(0.1) ? 2100 : 90, 0);
    const [transposeA, transposeB] = [
      draws.option("transposeA", [false, true]),
      draws.option("transposeB", [false, true]),
    ];
    const sharedB = draws.option("sharedB", [true, false]) || batches.length === 0;
    const size = count(batches);
    const arrays = {
      a: draws.normals(size * rows * reduction),
      b: draws.normals((sharedB ? 1 : size) * reduction * columns),
    };
    draws.poison(arrays);
    const biases = draws.option("bias", [false, true]) ? draws.normals(columns) : undefined;
    using a = gpu.tensor(
      [...batches, ...transposeA ? [reduction, rows] : [rows, reduction]],
      arrays.a,
    );
    using b = gpu.tensor([
      ...sharedB ? [] : batches,
      ...transposeB ? [columns, reduction] : [reduction, columns],
    ], arrays.b);
    using bias = biases && gpu.tensor([columns], biases);
    const expected = matmulReference(arrays.a, arrays.b, {
      batches: size,
      rows,
      columns,
      reduction,
      transposeA,
      transposeB,
      sharedB,
    }).map((value, i) => value + (biases ? biases[i % columns] : 0));
    const algorithms = [undefined, undefined, "register", "workgroup", "vector"] as const;
    const algorithm = draws.option("algorithm", algorithms);
    const before = draws.option("accumulateInto", [false, false, true])
      ? draws.normals(size * rows * columns)
      : undefined;
    const accumulateInto = before && gpu.tensor([...batches, rows, columns], before);
    const outputs = matmul(gpu, { a, b, ...(bias ? { bias } : {}) }, {
      transposeA,
      transposeB,
      ...(algorithm ? { algorithm } : {}),
      ...(accumulateInto ? { accumulateInto } : {}),
    });
    await compare(gpu, { ...outputs }, {
      output: expected.map((value, i) => value + (before ? before[i] : 0)),
    });
  },

  async matmul_parts(gpu, draws): Promise<void> {
    const most = draws.choose([9, 70]);
    const [rows, columns] = [draws.size("rows", most, 0), draws.size("columns", most, 0)];
    const fours = draws.option("fours", [true, true, false]) ? 4 : 1; // others are in one part
    const [height, width] = [rows * fours, columns * fours];
    const reduction = draws.size("reduction", draws.choose([90, 2100]), 0);
    const arrays = { a: draws.normals(reduction * height), b: draws.normals(reduction * width) };
    draws.poison(arrays);
    using a = gpu.tensor([reduction, height], arrays.a);
    using b = gpu.tensor([reduction, width], arrays.b);
    using product = matmulParts(gpu, { a, b });
    draws.note("parts", product.parts.shape[0]);
    const { sums } = sumParts(gpu, { parts: [product.parts] });
    await compare(gpu, { sum: sums[0] }, {
      sum: matmulReference(arrays.a, arrays.b, {
        ...{ batches: 1, rows: height, columns: width, reduction },
        ...{ transposeA: true, transposeB: false, sharedB: true },
      }),
    });
  },

  async rms_norm(gpu, draws): Promise<void> {
    const [rows, columns] = [draws.size("rows", 70), draws.size("columns", 300)];
    const magnitude = draws.option("magnitude", [1, 1e-3, 1e4]);
    const arrays = { x: draws.normals(rows * columns, magnitude), weight: draws.normals(columns) };
    draws.poison(arrays);
    const d = draws.normals(rows * columns);
    const epsilon = draws.option("epsilon", [1e-5, 1e-6]);
    using x = gpu.tensor([rows, columns], arrays.x);
    using weight = gpu.tensor([columns], arrays.weight);
    using outputGradient = gpu.tensor([rows, columns], d);
    const { output, inverseRms } = rmsNorm(gpu, { x, weight }, { epsilon });
    using inverse = inverseRms;
    const inParts = draws.option("inParts", [false, true]);
    const before = draws.option("accumulateInto", [false, false, true])
      ? draws.normals(rows * columns, 1 / magnitude)
      : undefined;
    const { xGradient, weightGradient } = rmsNormBackward(
      gpu,
      { x, weight, inverseRms: inverse, outputGradient },
      { inParts, ...before && { accumulateInto: gpu.tensor([rows, columns], before) } },
    );
    using parts = inParts ? weightGradient : undefined;
    const expected = rmsNormBackwardReference(arrays.x, arrays.weight, d, epsilon);
    await compare(gpu, {
      output,
      xGradient,
      weightGradient: parts ? sumParts(gpu, { parts: [parts] }).sums[0] : weightGradient,
    }, {
      output: rmsNormReference(arrays.x, arrays.weight, epsilon),
      ...expected,
      xGradient: expected.xGradient.map((value, i) => value + (before?.[i] ?? 0)),
    }, { floor: 0.01 / magnitude });
  },

  async layer_norm(gpu, draws): Promise<void> {
    const [rows, columns] = [draws.size("rows", 70), draws.size("columns", 300, 3)];
    const shift = draws.option("shift", [0, 1, 10]);
    const arrays = {
      x: draws.normals(rows * columns).map((value) => value + shift),
      weight: draws.normals(columns),
      bias: draws.normals(columns),
    };
    draws.poison(arrays);
    const d = draws.normals(rows * columns);
    using x = gpu.tensor([rows, columns], arrays.x);
    using weight = gpu.tensor([columns], arrays.weight);
    using bias = gpu.tensor([columns], arrays.bias);
    using outputGradient = gpu.tensor([rows, columns], d);
    const { output, mean, inverseDeviation } = layerNorm(gpu, { x, weight, bias });
    using means = mean;
    using inverse = inverseDeviation;
    const backward = layerNormBackward(gpu, {
      x,
      weight,
      bias,
      mean: means,
      inverseDeviation: inverse,
      outputGradient,
    });
    await compare(gpu, { output, ...backward }, {
      output: layerNormReference(arrays.x, arrays.weight, arrays.bias),
      ...layerNormBackwardReference(arrays.x, arrays.weight, d),
    }, { floor: 0.05 });
  },

  async adam_w(gpu, draws): Promise<void> {
    const size = draws.size("size", 3000);
    const initial = draws.normals(size);
    const state = {
      parameter: Float64Array.from(initial),
      firstMoment: new Float64Array(size),
      secondMoment: new Float64Array(size),
    };
    using parameter = gpu.tensor([size], initial);
    using firstMoment = gpu.tensor([size]);
    using secondMoment = gpu.tensor([size]);
    const weightDecay = draws.option("weightDecay", [0, 0.25]);
    for (let step = 1; step <= 2; step++) {
      const data = draws.normals(size, step);
      const norm = gradientNormReference([data]);
      const maximum = draws.choose([0.5, 2]) * norm;
      const options = { learningRate: 0.1 / step, beta1: 0.8, beta2: 0.9, epsilon: 1e-6, step };
      adamWReference(state, data.map((value) => value * Math.min(1, maximum / norm)), {
        ...options,
        weightDecay: new Float32Array(size).fill(weightDecay),
      });
      using gradient = gpu.tensor([size], data);
      const { scale: gradientScale, norm: measured } = gradientNorm(
        gpu,
        { gradients: [gradient] },
        { maximum },
      );
      using scaling = gradientScale;
      adamW(gpu, { parameter, gradient, firstMoment, secondMoment, gradientScale: scaling }, {
        ...options,
        weightDecay,
      });
      await compare(gpu, { measured }, { measured: [norm] }, { value: 1e-5 });
    }
    await compare(gpu, { parameter: parameter.reshape([size]) }, state);
  },

  async adam_w_all(gpu, draws): Promise<void> {
    using scope = new DisposableStack();
    const step = draws.note("step", draws.integer(1, 40));
    const shared = { beta1: draws.option("beta1", [0, 0.8]), beta2: 0.9, epsilon: 1e-6 };
    const options = { ...shared, learningRate: 0.1, weightDecay: 0.25, step };
    const factor = draws.option("gradientScale", [undefined, 0.5]);
    const all = Array.from({ length: draws.note("parameters", draws.integer(0, 14)) }, (_, i) => {
      const size = draws.size(`size ${i}`, 600, 0);
      const shape = draws.choose([[size], [1, size]]);
      const decays = draws.option(`decays ${i}`, [undefined, true, false]);
      const arrays = {
        parameter: draws.normals(size),
        gradient: draws.normals(size, 2),
        firstMoment: draws.normals(size),
        secondMoment: draws.uniforms(size, 0.1, 2),
      };
      const { parameter, gradient, firstMoment } = arrays;
      // A second moment once infinite is NaN in the next step: that there are no numbers must show.
      draws.poison({ parameter, gradient, firstMoment }, { chance: 0.05 });
      const state = {
        parameter: Float64Array.from(arrays.parameter),
        firstMoment: Float64Array.from(arrays.firstMoment),
        secondMoment: Float64Array.from(arrays.secondMoment),
      };
      adamWReference(state, arrays.gradient.map((value) => value * (factor ?? 1)), {
        ...options,
        weightDecay: new Float32Array(size).fill(decays ?? true ? 0.25 : 0),
      });
      const shapes = Object.fromEntries(Object.keys(arrays).map((name) => [name, shape]));
      return { state, decays, tensors: upload(gpu, scope, shapes, arrays) };
    });
    const gradientScale = factor && scope.use(gpu.tensor([1], [factor]));
    const scheduled = draws.option("schedule", [false, true]);
    const schedule = scheduled && scope.use(gpu.tensor([3], adamWSchedule(options)));
    adamWAll(gpu, {
      parameters: all.map(({ tensors, decays }) => ({
        ...tensors,
        ...(decays === undefined ? {} : { decays }),
      })),
      ...(gradientScale ? { gradientScale } : {}),
      ...(schedule ? { schedule } : {}),
    }, scheduled ? { ...shared, learningRate: 0, step: 1 } : options);
    for (const { state, tensors: { parameter, firstMoment, secondMoment } } of all) {
      await compare(gpu, {
        parameter: parameter.reshape(parameter.shape),
        firstMoment: firstMoment.reshape(parameter.shape),
        secondMoment: secondMoment.reshape(parameter.shape),
      }, state);
    }
  },

  async rotary(gpu, draws): Promise<void> {
    const [batch, time] = [draws.size("batch", 2), draws.size("time", 70)];
    const [heads, dim] = [draws.size("heads", 3), draws.size("dim", 70, 2)];
    const pairs = draws.note("pairs", draws.integer(1, Math.floor(dim / 2)));
    const interleaved = draws.option("interleaved", [false, true]);
    const base = draws.option("base", [100, 10_000, undefined]);
    const angles = base === undefined
      ? Float64Array.from(draws.uniforms(pairs))
      : rotaryAngles({ dim: 2 * pairs, base });
    const offset = draws.note("offset", draws.integer(0, 100));
    const data = draws.normals(batch * time * heads * dim);
    using x = gpu.tensor([batch, time, heads, dim], data);
    using frequencies = base === undefined
      ? packRotaryFrequencies(gpu, angles)
      : rotaryFrequencies(gpu, { dim: 2 * pairs, base });
    const placed = draws.option("positions", [false, true]);
    const drawn = draws.integers(batch * time, 0, 2 ** 20);
    using positions = gpu.tensor([batch, time], drawn, "u32");
    const places = placed ? drawn : by(batch * time, (i) => offset + i % time);
    const given = placed ? { frequencies, positions } : { frequencies };
    const options = { interleaved, ...(placed ? {} : { offset }) };
    const arrays = { x: data, frequencies: angles, positions: places };
    const of = (inverse: boolean): Float64Array =>
      rotaryReference(arrays, { heads, dim, interleaved, inverse });
    await compare(gpu, {
      ...rotary(gpu, { x, ...given }, options),
      ...rotaryBackward(gpu, { outputGradient: x, ...given }, options),
    }, { output: of(false), xGradient: of(true) });
  },

  async argmax(gpu, draws): Promise<void> {
    const [rows, vocabulary] = [draws.size("rows", 80), draws.size("vocabulary", 1100)];
    const x = draws.normals(rows * vocabulary, 2).map(Math.round); // many are equal
    for (let i = 0; i < 5; i++) draws.poison({ x }, { chance: 0.3 });
    using logits = gpu.tensor([rows, vocabulary], x);
    using tokens = argmax(gpu, { logits }).tokens;
    const got = await tokens.read();
    const expected = argmaxReference(x, vocabulary);
    const wrong = got.findIndex((token, i) => token !== expected[i]);
    if (wrong >= 0) throw new Error(`row ${wrong} gives ${got[wrong]}, not ${expected[wrong]}`);
  },
};
