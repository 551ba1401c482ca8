import {
  activation,
  ACTIVATION_KINDS,
  activationBackward,
  adamW,
  adamWAll,
  add,
  argmax,
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  causalConvolutionSteps,
  concatenate,
  concatenateTime,
  convert,
  copyWork,
  crossEntropy,
  crossEntropyBackward,
  definedTunables,
  deltaRule,
  deltaRuleBackward,
  deltaRuleRecurrent,
  deltaRuleStep,
  embedding,
  embeddingBackward,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
  gatedActivation,
  gatedActivationBackward,
  gatedRmsNorm,
  gatedRmsNormBackward,
  gatherRows,
  gatherRowsBackward,
  Gpu,
  gradientNorm,
  hasGatedRmsNormBackward,
  hasMamba2Inputs,
  hasMamba2InputsBackward,
  layerNorm,
  layerNormBackward,
  linearAttention,
  linearAttentionBackward,
  linearAttentionRecurrent,
  linearAttentionStep,
  mamba2Inputs,
  mamba2InputsBackward,
  matmul,
  matmulParts,
  multiply,
  multiplyAdd,
  multiplyBackward,
  project,
  quantize,
  QUANTIZED_TYPES,
  QuantizedMatrix,
  rgLru,
  rgLruBackward,
  rgLruStep,
  rmsNorm,
  rmsNormBackward,
  rotary,
  rotaryAppend,
  rotaryBackward,
  rotaryFrequencies,
  rwkv7,
  rwkv7Backward,
  rwkv7Recurrent,
  rwkv7Step,
  scale,
  scan,
  scanBackward,
  scanStep,
  selectiveScan,
  selectiveScanBackward,
  selectiveScanStep,
  sliceTime,
  softplusDecay,
  softplusDecayBackward,
  split,
  sumParts,
  sumTo,
  type Tensor,
} from "../../kernels/mod.ts";

const BOTH = [false, true] as const;
/** Rows that are whole vec4s, and rows that are not. */
const WIDTHS = [8, 6] as const;
/** Head sizes: the smallest, no multiple of 4, one of each tiling, the largest. */
const HEAD_SIZES = [[1, 1], [6, 10], [16, 16], [60, 64], [64, 64], [64, 128], [128, 128], [
  256,
  256,
]];

/** Makes tensors of zeros of a GPU; `when` makes one where an input is given, and none elsewhere. */
interface Maker {
  (...shape: number[]): Tensor;
  when(given: boolean, ...shape: number[]): Tensor | undefined;
  integers(...shape: number[]): Tensor<"u32">;
  /** Stored in 16 bits. */
  halves(...shape: number[]): Tensor;
}

/**
 * Calls every op in every form that picks another shader or other constants, by family. Shapes are
 * the smallest that do: for a GPU that compiles and does not compute.
 */
export const EVERY_DISPATCH: Readonly<Record<string, (gpu: Gpu) => void>> = {
  activation(gpu): void {
    const make = makerOf(gpu);
    const [x, gate, outputGradient] = [make(3, 7), make(3, 7), make(3, 7)];
    for (const kind of ACTIVATION_KINDS) {
      activation(gpu, { x }, { kind });
      activationBackward(gpu, { x, outputGradient }, { kind });
      gatedActivation(gpu, { gate, x }, { kind });
      gatedActivationBackward(gpu, { gate, x, outputGradient }, { kind });
    }
    const [bias, rate] = [make(6), make(3)];
    softplusDecay(gpu, { x: make(3, 6), bias, rate });
    softplusDecayBackward(gpu, { x: make(3, 6), bias, rate, outputGradient: make(3, 6) });
  },

  arithmetic(gpu): void {
    const make = makerOf(gpu);
    for (const columns of WIDTHS) {
      const [a, b] = [make(2, 3, columns), make(columns)];
      add(gpu, { a, b });
      multiply(gpu, { a, b });
      multiplyBackward(gpu, { a, b, outputGradient: a });
      sumTo(gpu, { x: a }, { shape: [columns] });
      for (let count = 1; count <= 6; count++) {
        sumParts(gpu, { parts: Array(count).fill(a) });
        multiplyAdd(gpu, { x: a, factors: Array(count).fill(b), addend: a });
      }
      scale(gpu, { x: a }, { factor: 2 });
      split(gpu, { x: a }, { sizes: columns === 8 ? [4, 4] : [1, 5] });
      concatenate(gpu, { inputs: [a, a] });
      concatenateTime(gpu, { inputs: [a, a] });
      sliceTime(gpu, { x: a }, { start: 1, length: 2 });
      const rows = make(5, columns);
      const indices = make.integers(3);
      gatherRows(gpu, { x: rows, indices });
      gatherRowsBackward(gpu, { outputGradient: make(3, columns), indices }, { rows: 5 });
    }
  },

  attention(gpu): void {
    const make = makerOf(gpu);
    for (const [dim, valueDim] of HEAD_SIZES) {
      const query = make(1, 33, 2, dim);
      const key = make(1, 33, 1, dim);
      const value = make(1, 33, 1, valueDim);
      const outputGradient = make(1, 33, 2, valueDim);
      const whole = dim === 16;
      for (
        const { algorithm, alibi, capped, packed } of combinations({
          algorithm: ["rows", "tiles"] as const,
          alibi: whole ? BOTH : [true],
          capped: whole ? BOTH : [true],
          packed: whole ? BOTH : [true],
        })
      ) {
        const options = {
          algorithm,
          alibiSlopes: make.when(alibi, 2),
          softCap: capped ? 30 : undefined,
          segments: packed ? [0, 10, 33] : undefined,
        };
        const forward = flashAttention(gpu, { query, key, value }, options);
        flashAttentionBackward(gpu, { query, key, value, ...forward, outputGradient }, options);
        const { alibiSlopes, softCap } = options;
        const one = make(1, 1, 2, dim);
        flashAttentionStep(gpu, { query: one, key, value }, { alibiSlopes, softCap });
        const position = make.integers(1);
        flashAttentionStep(gpu, { query: one, key, value, position }, { alibiSlopes, softCap });
      }
    }
  },

  copy(gpu): void {
    const { run, tensors } = copyWork(gpu);
    run();
    for (const tensor of tensors) tensor[Symbol.dispose]();
  },

  convolution(gpu): void {
    const make = makerOf(gpu);
    for (
      const { channels, width, silu, biased, carried, leaving } of combinations({
        channels: WIDTHS,
        width: [2, 4, 7],
        silu: BOTH,
        biased: BOTH,
        carried: BOTH,
        leaving: BOTH,
      })
    ) {
      const inputs = {
        x: make(2, 9, channels),
        weight: make(channels, width),
        bias: make.when(biased, channels),
      };
      const initialTail = make.when(carried, 2, width - 1, channels);
      const options = { activation: silu ? "silu" : "none" } as const;
      causalConvolution(gpu, { ...inputs, initialTail }, options);
      causalConvolutionBackward(gpu, {
        ...inputs,
        initialTail,
        outputGradient: make(2, 9, channels),
        finalTailGradient: make.when(leaving, 2, width - 1, channels),
      }, options);
      const step = { ...inputs, x: make(2, 1, channels), tail: make(2, width - 1, channels) };
      causalConvolutionStep(gpu, step, options);
      causalConvolutionSteps(gpu, [step, step, step], options);
    }
  },

  delta_rule(gpu): void {
    const make = makerOf(gpu);
    for (
      const { dims: [keyDim, valueDim], decay, carried } of combinations({
        dims: [[8, 8], [6, 10], [64, 64], [128, 128]],
        decay: DECAYS,
        carried: BOTH,
      })
    ) {
      const inputs = (time: number): Parameters<typeof deltaRule>[1] => ({
        query: make(1, time, 2, keyDim),
        key: make(1, time, 2, keyDim),
        value: make(1, time, 2, valueDim),
        beta: make(1, time, 2),
        logDecay: logDecay(make, decay, [1, time, 2], keyDim),
      });
      const state = (given = true): Tensor | undefined => make.when(given, 1, 2, keyDim, valueDim);
      const initialState = state(carried);
      for (const chunkSize of [undefined, 16, 64]) {
        const options = { chunkSize };
        deltaRule(gpu, { ...inputs(70), initialState }, options);
        deltaRuleBackward(gpu, {
          ...inputs(70),
          initialState,
          outputGradient: make(1, 70, 2, valueDim),
          finalStateGradient: state(carried),
        }, options);
      }
      deltaRuleRecurrent(gpu, { ...inputs(5), initialState });
      deltaRuleStep(gpu, { ...inputs(1), state: make(1, 2, keyDim, valueDim) });
      deltaRuleRecurrent(gpu, { ...inputs(5), initialState }, { unitLength: 1e-6 });
    }
  },

  embedding(gpu): void {
    const make = makerOf(gpu);
    for (const width of WIDTHS) {
      const tokens = make.integers(5);
      embedding(gpu, { tokens, weight: make(10, width) });
      embedding(gpu, { tokens, weight: make.halves(10, width) });
      for (const dtype of QUANTIZED_TYPES) {
        using weight = new QuantizedMatrix(gpu, [10, width], dtype);
        embedding(gpu, { tokens, weight });
      }
      embeddingBackward(gpu, { tokens, outputGradient: make(5, width) }, { vocabulary: 10 });
    }
  },

  halves(gpu): void {
    const make = makerOf(gpu);
    attentionOfHalves(make, gpu);
    linearAttentionOfHalves(make, gpu);
    matmulOfHalves(make, gpu);
  },

  linear_attention(gpu): void {
    const make = makerOf(gpu);
    for (
      const { dims: [keyDim, valueDim], decay, bonused, carried, groups } of combinations({
        dims: [[8, 8], [6, 10], [64, 64], [128, 100]],
        decay: DECAYS,
        bonused: BOTH,
        carried: BOTH,
        groups: [1, 2],
      })
    ) {
      const inputs = (time: number): Parameters<typeof linearAttention>[1] => ({
        query: make(1, time, groups, keyDim),
        key: make(1, time, groups, keyDim),
        value: make(1, time, 2, valueDim),
        logDecay: logDecay(make, decay, [1, time, 2], keyDim),
        bonus: make.when(bonused, 2, keyDim),
      });
      const state = make(1, 2, keyDim, valueDim);
      const initialState = carried ? state : undefined;
      const slabs = keyDim === 8 ? [{ chunkSize: 8, workspaceBytes: 1 }] : [];
      for (const options of [{}, { chunkSize: 8 }, { chunkSize: 64 }, ...slabs]) {
        linearAttention(gpu, { ...inputs(70), initialState }, options);
        linearAttentionBackward(gpu, {
          ...inputs(70),
          initialState,
          outputGradient: make(1, 70, 2, valueDim),
          finalStateGradient: initialState,
        }, options);
      }
      linearAttention(gpu, inputs(20), { finalState: false });
      const outputGradient = make(1, 20, 2, valueDim);
      linearAttentionBackward(gpu, { ...inputs(20), outputGradient });
      linearAttentionRecurrent(gpu, { ...inputs(5), initialState });
      linearAttentionStep(gpu, { ...inputs(1), state });
      linearAttentionStep(gpu, { ...inputs(1), state }, { inPlace: true });
    }
  },

  loss(gpu): void {
    const make = makerOf(gpu);
    for (
      const { vocabulary, weighted } of combinations({
        vocabulary: [...WIDTHS, 1030],
        weighted: BOTH,
      })
    ) {
      const inputs = {
        logits: make(5, vocabulary),
        labels: make.integers(5),
        rowWeights: make.when(weighted, 5),
      };
      const { logSumExp } = crossEntropy(gpu, inputs);
      crossEntropyBackward(gpu, { ...inputs, logSumExp });
    }
  },

  matmul(gpu): void {
    const make = makerOf(gpu);
    for (
      const { shape: [m, k, n], algorithm, transposeA, transposeB, biased, added } of combinations({
        shape: [[1, 8, 8], [17, 8, 20], [17, 9, 19], [16, 1024, 16], [5, 7, 1]],
        algorithm: [undefined, "register", "workgroup", "vector"] as const,
        transposeA: BOTH,
        transposeB: BOTH,
        biased: BOTH,
        added: BOTH,
      })
    ) {
      const a = transposeA ? make(2, k, m) : make(2, m, k);
      const b = transposeB ? make(n, k) : make(k, n);
      const accumulateInto = make.when(added, 2, m, n);
      const bias = make.when(biased, n);
      matmul(gpu, { a, b, bias }, { algorithm, transposeA, transposeB, accumulateInto });
      if (!transposeB) continue;
      for (const dtype of QUANTIZED_TYPES) {
        using b = new QuantizedMatrix(gpu, [n, k], dtype);
        matmul(gpu, { a, b, bias }, { algorithm, transposeA, transposeB, accumulateInto });
      }
    }
    for (
      const { columns, reduction, algorithm, transposeA } of combinations({
        columns: [20, 19],
        reduction: [8, 1024],
        algorithm: ["register", "workgroup", "vector"] as const,
        transposeA: BOTH,
      })
    ) {
      const a = transposeA ? make(reduction, 16) : make(16, reduction);
      const b = make(reduction, columns);
      matmul(gpu, { a, b, addend: make(16, columns) }, { algorithm, transposeA });
      if (transposeA) matmulParts(gpu, { a, b });
    }
    const gates = [{ weight: make(7, 8), bias: make(7) }, { weight: make(7, 8), bias: make(7) }];
    for (
      const { normed, biased, added } of combinations({ normed: BOTH, biased: BOTH, added: BOTH })
    ) {
      const inputs = {
        x: make(2, 8),
        normWeight: make.when(normed, 8),
        addend: make.when(added, 2, 7),
      };
      const projections = biased ? gates : gates.map(({ weight }) => ({ weight }));
      for (const activation of ACTIVATION_KINDS) {
        project(gpu, { ...inputs, projections: [{ ...projections[0], activation }] });
      }
      project(gpu, { ...inputs, projections });
      project(gpu, { ...inputs, projections }, { gated: true });
      using bytes = new QuantizedMatrix(gpu, [7, 8], "int8");
      using halfBytes = new QuantizedMatrix(gpu, [7, 8], "int4");
      for (const weight of [[make(7, 8), make(3, 8)], bytes, halfBytes]) {
        const bias = biased ? make(weight instanceof Array ? 10 : 7) : undefined;
        const addend = make.when(added, 2, weight instanceof Array ? 10 : 7);
        const stored = { ...inputs, addend, projections: [{ weight, bias }, { weight, bias }] };
        project(gpu, stored);
        project(gpu, stored, { gated: true });
      }
    }
  },

  /** Every tile of a GPU's that a device has the workgroup memory for. */
  tiles(gpu): void {
    if (gpu.adapter.software) return;
    const make = makerOf(gpu);
    everyTile(gpu, "matmul/product", () => {
      matmul(gpu, { a: make(65, 20), b: make(20, 68) });
      matmul(gpu, { a: make(65, 20), b: make(68, 20) }, { transposeB: true });
    });
    const inputs = { query: make(1, 9, 2, 8), key: make(1, 9, 1, 8), value: make(1, 9, 1, 8) };
    for (const pass of ["forward", "query_gradient", "key_gradient"]) {
      everyTile(gpu, `attention/${pass}`, () => {
        const forward = flashAttention(gpu, inputs);
        if (pass === "forward") return;
        flashAttentionBackward(gpu, { ...inputs, ...forward, outputGradient: inputs.query });
      });
    }
  },

  /** What takes more bindings, or workgroup memory, than every device allows, where one allows them. */
  wide(gpu): void {
    const make = makerOf(gpu);
    const { device, adapter } = gpu;
    EVERY_DISPATCH.tiles(
      new Gpu(device, { ...adapter, software: false }, { poison: false, owns: false }),
    );
    if (device.limits.maxComputeWorkgroupStorageSize >= 32_768) wideAttention(make, gpu);
    if (hasGatedRmsNormBackward(gpu, { x: make(5, 64) })) gatedNorms(make, gpu);
    const parameters = Array.from({ length: 6 }, () => ({
      parameter: make(5),
      gradient: make(5),
      firstMoment: make(5),
      secondMoment: make(5),
    }));
    const gradients = parameters.map(({ gradient }) => gradient);
    const { scale: gradientScale } = gradientNorm(gpu, { gradients }, { maximum: 1 });
    const schedule = make(3);
    adamWAll(gpu, { parameters, gradientScale, schedule }, { learningRate: 1e-3, step: 1 });
    for (const columns of [8, 5]) {
      sumParts(gpu, { parts: Array.from({ length: 6 }, () => make(2, columns)) });
      const factors = Array.from({ length: 6 }, () => make(columns));
      multiplyAdd(gpu, { x: make(2, columns), factors, addend: make(columns) });
    }
    const projections = Array.from({ length: 6 }, () => ({ weight: make(7, 8), bias: make(7) }));
    project(gpu, { x: make(2, 8), projections, normWeight: make(8), addend: make(2, 7) });
    for (
      const { given, deltaSoftplus, logRates, inPlace } of combinations({
        given: BOTH,
        deltaSoftplus: BOTH,
        logRates: BOTH,
        inPlace: BOTH,
      })
    ) {
      const [token, states] = [make(2, 1, 5), make(2, 1, 6)];
      selectiveScanStep(gpu, {
        input: token,
        delta: token,
        a: make(5, 6),
        b: states,
        c: states,
        skip: make.when(given, 5),
        gate: make.when(given, 2, 1, 5),
        deltaBias: make.when(given, 5),
        state: make(2, 5, 6),
      }, { deltaSoftplus, logRates, inPlace });
    }
    for (const dtype of QUANTIZED_TYPES) {
      using weight = new QuantizedMatrix(gpu, [7, 8], dtype);
      const quantized = projections.map(({ bias }) => ({ weight, bias }));
      project(gpu, { x: make(2, 8), projections: quantized, normWeight: make(8) });
    }
    const step = { x: make(2, 1, 5), weight: make(5, 3), bias: make(5), tail: make(2, 2, 5) };
    causalConvolutionSteps(gpu, [step, step, step]);
    const tails = Array.from({ length: 3 }, () => ({ ...step, tail: make(2, 2, 5) }));
    causalConvolutionSteps(gpu, tails, { inPlace: true });
    const x = make(1, 9, 9);
    const [weight, bias, initialTail, stepBias] = [make(8, 3), make(8), make(1, 2, 8), make(1)];
    const inputs = { x, weight, bias, initialTail, stepBias, decay: make(1) };
    if (hasMamba2Inputs(gpu)) mamba2Inputs(gpu, inputs, { headDim: 2 });
    for (const { given, carried } of combinations({ given: BOTH, carried: BOTH })) {
      const rows = (...extents: number[]): Tensor | undefined => make.when(given, 1, 9, ...extents);
      const all = {
        x: make(1, 9, 32),
        weight: make(24, 3),
        bias: make.when(given, 24),
        initialTail: make.when(carried, 1, 2, 24),
        stepBias: make(4),
        decay: make(4),
      };
      if (!hasMamba2InputsBackward(gpu, all, { headDim: 4 })) break;
      mamba2Inputs(gpu, all, { headDim: 4 });
      mamba2InputsBackward(gpu, {
        ...all,
        gateGradient: rows(4),
        valuesGradient: rows(4, 4),
        inputGradient: rows(4, 4),
        keyGradient: rows(4),
        queryGradient: rows(4),
        logDecayGradient: rows(4),
        finalTailGradient: make.when(carried, 1, 2, 24),
      }, { headDim: 4 });
    }
    for (
      const { silu, biased, carried, leaving } of combinations({
        silu: BOTH,
        biased: BOTH,
        carried: BOTH,
        leaving: BOTH,
      })
    ) {
      causalConvolutionBackward(gpu, {
        x: make(2, 9, 8),
        weight: make(8, 3),
        bias: make.when(biased, 8),
        initialTail: make.when(carried, 2, 2, 8),
        outputGradient: make(2, 9, 8),
        finalTailGradient: make.when(leaving, 2, 2, 8),
      }, { activation: silu ? "silu" : "none" });
    }
    // Small states of many sequences, which a software adapter keeps in registers.
    for (const carried of BOTH) {
      const row = (dim: number): Tensor => make(16, 3, 1, dim);
      const state = (): Tensor | undefined => make.when(carried, 16, 1, 8, 4);
      const inputs = { query: row(8), key: row(8), value: row(4), logDecay: row(8) };
      const tokens = { ...inputs, initialState: state() };
      linearAttention(gpu, tokens);
      const gradients = { outputGradient: row(4), finalStateGradient: state() };
      linearAttentionBackward(gpu, { ...tokens, ...gradients });
    }
    for (
      const { given, carried, deltaSoftplus } of combinations({
        given: BOTH,
        carried: BOTH,
        deltaSoftplus: BOTH,
      })
    ) {
      const rows = (): Tensor => make(8, 3, 16);
      const state = (): Tensor | undefined => make.when(carried, 8, 16, 4);
      const tokens = {
        input: rows(),
        delta: rows(),
        a: make(16, 4),
        b: make(8, 3, 4),
        c: make(8, 3, 4),
        skip: make.when(given, 16),
        gate: make.when(given, 8, 3, 16),
        deltaBias: make.when(given, 16),
        initialState: state(),
      };
      selectiveScan(gpu, tokens, { deltaSoftplus });
      const gradients = { outputGradient: rows(), finalStateGradient: state() };
      selectiveScanBackward(gpu, { ...tokens, ...gradients }, { deltaSoftplus });
    }
    for (const { decay, carried } of combinations({ decay: DECAYS, carried: BOTH })) {
      const row = (dim: number): Tensor => make(16, 3, 1, dim);
      const state = (): Tensor | undefined => make.when(carried, 16, 1, 8, 4);
      const tokens = {
        query: row(8),
        key: row(8),
        value: row(4),
        beta: make(16, 3, 1),
        logDecay: logDecay(make, decay, [16, 3, 1], 8),
        initialState: state(),
      };
      deltaRule(gpu, tokens);
      deltaRuleBackward(gpu, {
        ...tokens,
        outputGradient: row(4),
        finalStateGradient: state(),
      });
    }
  },

  norm(gpu): void {
    const make = makerOf(gpu);
    for (
      const { columns, biased } of combinations({
        columns: [2, 7, 64, 257, 260, 1024],
        biased: BOTH,
      })
    ) {
      const inputs = {
        x: make(70, columns),
        weight: make(columns),
        bias: make.when(biased, columns),
      };
      const outputGradient = make(70, columns);
      layerNormBackward(gpu, { ...inputs, ...layerNorm(gpu, inputs), outputGradient });
      const rms = { x: inputs.x, weight: inputs.weight };
      rmsNormBackward(gpu, { ...rms, ...rmsNorm(gpu, rms), outputGradient });
      const accumulateInto = make(...rms.x.shape);
      rmsNormBackward(gpu, { ...rms, ...rmsNorm(gpu, rms), outputGradient }, { accumulateInto });
    }
    gatedNorms(make, gpu);
  },

  optimizer(gpu): void {
    const make = makerOf(gpu);
    const [parameter, gradient, firstMoment, secondMoment] = Array.from(
      { length: 4 },
      () => make(3, 5),
    );
    gradientNorm(gpu, { gradients: [gradient, make(70_000)] }, { maximum: 1 });
    for (const { scaled, masked } of combinations({ scaled: BOTH, masked: BOTH })) {
      const gradientScale = make.when(scaled, 1);
      const decayMask = make.when(masked, 3, 5);
      const inputs = { parameter, gradient, firstMoment, secondMoment, gradientScale, decayMask };
      adamW(gpu, inputs, { learningRate: 1e-3, step: 1 });
      const parameters = [{ parameter, gradient, firstMoment, secondMoment }];
      const all = { parameters, gradientScale, schedule: make(3) };
      adamWAll(gpu, all, { learningRate: 1e-3, step: 1 });
    }
  },

  position(gpu): void {
    const make = makerOf(gpu);
    for (
      const { dim, interleaved, positioned } of combinations({
        dim: [8, 6],
        interleaved: BOTH,
        positioned: BOTH,
      })
    ) {
      const frequencies = rotaryFrequencies(gpu, { dim });
      const positions = positioned ? make.integers(1, 9) : undefined;
      const inputs = { frequencies, positions };
      rotary(gpu, { ...inputs, x: make(1, 9, 2, dim) }, { interleaved });
      rotary(gpu, { ...inputs, x: make(1, 9, 2, dim), other: make(1, 9, 1, dim) }, { interleaved });
      rotaryBackward(gpu, { ...inputs, outputGradient: make(1, 9, 2, dim) }, { interleaved });
      const [key, keyCache, position] = [make(2, 1, 2, dim), make(2, 5, 2, dim), make.integers(1)];
      const cached = { key, value: key, keyCache, valueCache: make(2, 5, 2, dim), position };
      rotaryAppend(gpu, cached);
      rotaryAppend(gpu, { ...cached, query: make(2, 1, 4, dim), frequencies });
    }
  },

  rwkv7(gpu): void {
    const make = makerOf(gpu);
    for (
      const { dims: [keyDim, valueDim], carried } of combinations({
        dims: [[8, 8], [6, 10], [64, 64], [128, 128]],
        carried: BOTH,
      })
    ) {
      const inputs = (time: number): Parameters<typeof rwkv7>[1] => ({
        receptance: make(1, time, 2, keyDim),
        logDecay: make(1, time, 2, keyDim),
        key: make(1, time, 2, keyDim),
        value: make(1, time, 2, valueDim),
        a: make(1, time, 2, keyDim),
        b: make(1, time, 2, keyDim),
      });
      const state = make(1, 2, keyDim, valueDim);
      const initialState = carried ? state : undefined;
      for (const chunkSize of [undefined, 16, 64]) {
        const options = { chunkSize };
        rwkv7(gpu, { ...inputs(70), initialState }, options);
        rwkv7Backward(gpu, {
          ...inputs(70),
          initialState,
          outputGradient: make(1, 70, 2, valueDim),
          finalStateGradient: initialState,
        }, options);
      }
      rwkv7Recurrent(gpu, { ...inputs(5), initialState });
      rwkv7Step(gpu, { ...inputs(1), state });
    }
  },

  sampling(gpu): void {
    const make = makerOf(gpu);
    for (const vocabulary of [5, 64, 3000]) {
      argmax(gpu, { logits: make(3, vocabulary) });
      const followed = { position: make.integers(1), history: make.integers(8) };
      argmax(gpu, { logits: make(1, vocabulary), ...followed });
    }
  },

  scan(gpu): void {
    const make = makerOf(gpu);
    for (
      const { channels, carried, chunkSize } of combinations({
        channels: [...WIDTHS, 64, 128, 256], // as many as each invocation may carry
        carried: BOTH,
        chunkSize: [undefined, 16],
      })
    ) {
      const sequence = (): Tensor => make(2, 40, channels);
      const initialState = make.when(carried, 2, channels);
      const options = { chunkSize };
      const inputs = { decay: sequence(), input: sequence(), initialState };
      const { output } = scan(gpu, inputs, chunkSize ? options : {});
      const outputGradient = sequence();
      const gradients = { output, outputGradient, finalStateGradient: initialState };
      scanBackward(gpu, { ...inputs, ...gradients }, chunkSize ? options : {});
      const gates = (time: number): Parameters<typeof rgLru>[1] => ({
        input: make(2, time, channels),
        recurrenceGate: make(2, time, channels),
        inputGate: make(2, time, channels),
        decayParameter: make(channels),
      });
      const state = make(2, channels);
      for (const resetFirst of BOTH) {
        rgLru(gpu, { ...gates(40), initialState }, { resetFirst });
        rgLruBackward(gpu, { ...gates(40), initialState, ...gradients }, { resetFirst });
        for (const inPlace of BOTH) rgLruStep(gpu, { ...gates(1), state }, { resetFirst, inPlace });
      }
      const token = { decay: make(2, 1, channels), input: make(2, 1, channels), state };
      for (const inPlace of BOTH) scanStep(gpu, token, { inPlace });
    }
  },

  selective_scan(gpu): void {
    const make = makerOf(gpu);
    for (
      const { state, skipped, gated, biased, deltaSoftplus, carried } of combinations({
        state: [6, 20],
        skipped: BOTH,
        gated: BOTH,
        biased: BOTH,
        deltaSoftplus: BOTH,
        carried: BOTH,
      })
    ) {
      const channels = 5;
      const inputs = (time: number): Parameters<typeof selectiveScan>[1] => ({
        input: make(1, time, channels),
        delta: make(1, time, channels),
        a: make(channels, state),
        b: make(1, time, state),
        c: make(1, time, state),
        skip: make.when(skipped, channels),
        gate: make.when(gated, 1, time, channels),
        deltaBias: make.when(biased, channels),
      });
      const initialState = make.when(carried, 1, channels, state);
      selectiveScan(gpu, { ...inputs(40), initialState }, { deltaSoftplus });
      selectiveScan(gpu, { ...inputs(40), initialState }, { deltaSoftplus, chunkSize: 16 });
      selectiveScanBackward(gpu, {
        ...inputs(40),
        initialState,
        outputGradient: make(1, 40, channels),
        finalStateGradient: initialState,
      }, { deltaSoftplus });
      const step = { ...inputs(1), state: make(1, channels, state) };
      for (const inPlace of BOTH) {
        selectiveScanStep(gpu, step, { deltaSoftplus, logRates: carried, inPlace });
      }
    }
  },

  storage(gpu): void {
    const make = makerOf(gpu);
    const flags = make.integers(1);
    const stored = make.integers(40);
    for (const from of ["f32", "f16", "bf16"] as const) {
      for (const output of [make(40), ...gpu.supportsF16 ? [make.halves(40)] : []]) {
        convert(gpu, { stored, output, flags }, { from, elements: 40 });
      }
      for (const dtype of QUANTIZED_TYPES) {
        for (const columns of [10, 32]) {
          using output = new QuantizedMatrix(gpu, [1, columns], dtype);
          quantize(gpu, { stored, output, flags }, { from, rows: 1 });
        }
      }
    }
  },
};

/** Norms with a gate, and their gradients in one pass where a device allows its bindings. */
function gatedNorms(make: Maker, gpu: Gpu): void {
  for (
    const { channels, weighted, gated, skipped, gateFirst } of combinations({
      channels: [6, 64, 1024],
      weighted: BOTH,
      gated: BOTH,
      skipped: BOTH,
      gateFirst: BOTH,
    })
  ) {
    const x = make(5, channels);
    const weight = make.when(weighted, channels);
    const gate = make.when(gated, 5, 2 * channels);
    const [values, skip] = [make.when(skipped, 5, channels), make.when(skipped, 2)];
    gatedRmsNorm(gpu, { x, weight, gate, values, skip }, { gateFirst });
    const own = { x, weight, gate: make.when(gated, 5, channels), values, skip };
    if (!hasGatedRmsNormBackward(gpu, own)) continue;
    gatedRmsNormBackward(gpu, { ...own, outputGradient: make(5, channels) }, { gateFirst });
  }
}

function wideAttention(make: Maker, gpu: Gpu): void {
  const [query, key] = [make(1, 33, 2, 8), make(1, 33, 1, 8)];
  const options = {
    algorithm: "wide",
    alibiSlopes: make(2),
    softCap: 30,
    segments: [0, 10, 33],
  } as const;
  const forward = flashAttention(gpu, { query, key, value: key }, options);
  const given = { query, key, value: key, ...forward, outputGradient: query };
  flashAttentionBackward(gpu, given, options);
}

function attentionOfHalves(make: Maker, gpu: Gpu): void {
  for (const [dim, valueDim] of [[6, 10], [16, 16], [64, 64], [128, 128]]) {
    for (const algorithm of ["rows", "tiles"] as const) {
      const inputs = {
        query: make.halves(1, 33, 2, dim),
        key: make.halves(1, 33, 1, dim),
        value: make.halves(1, 33, 1, valueDim),
      };
      const outputGradient = make.halves(1, 33, 2, valueDim);
      const forward = flashAttention(gpu, inputs, { algorithm });
      flashAttentionBackward(gpu, { ...inputs, ...forward, outputGradient }, { algorithm });
      flashAttentionStep(gpu, { ...inputs, query: make.halves(1, 1, 2, dim) });
    }
  }
}

function linearAttentionOfHalves(make: Maker, gpu: Gpu): void {
  for (
    const { dims: [keyDim, valueDim], decay, bonused } of combinations({
      dims: [[8, 8], [6, 10]],
      decay: DECAYS,
      bonused: BOTH,
    })
  ) {
    const inputs = (time: number): Parameters<typeof linearAttention>[1] => ({
      query: make.halves(1, time, 1, keyDim),
      key: make.halves(1, time, 1, keyDim),
      value: make.halves(1, time, 2, valueDim),
      logDecay: logDecay(make, decay, [1, time, 2], keyDim),
      bonus: make.when(bonused, 2, keyDim),
    });
    const state = make(1, 2, keyDim, valueDim);
    const outputGradient = make.halves(1, 70, 2, valueDim);
    linearAttention(gpu, inputs(70));
    linearAttentionBackward(gpu, { ...inputs(70), outputGradient });
    linearAttentionRecurrent(gpu, inputs(5));
    linearAttentionStep(gpu, { ...inputs(1), state });
  }
}

function matmulOfHalves(make: Maker, gpu: Gpu): void {
  for (
    const { shape: [m, k, n], algorithm, transposeB, halves, outputType } of combinations({
      shape: [[17, 8, 20], [17, 9, 19], [16, 1024, 16]],
      algorithm: ["register", "workgroup", "vector"] as const,
      transposeB: BOTH,
      halves: [["a"], ["b"], ["a", "b", "bias"]],
      outputType: [undefined, "f32", "f16"] as const,
    })
  ) {
    const stored = (name: string, ...shape: number[]): Tensor =>
      halves.includes(name) ? make.halves(...shape) : make(...shape);
    const inputs = {
      a: stored("a", m, k),
      b: transposeB ? stored("b", n, k) : stored("b", k, n),
      bias: stored("bias", n),
    };
    matmul(gpu, inputs, { algorithm, transposeB, outputType });
  }
}

const DECAYS = ["none", "head", "key"] as const;

function logDecay(
  make: Maker,
  decay: typeof DECAYS[number],
  shape: number[],
  keyDim: number,
): Tensor | undefined {
  return decay === "none" ? undefined : decay === "head" ? make(...shape) : make(...shape, keyDim);
}

/** Does some work with each candidate of a tunable. */
function everyTile(gpu: Gpu, name: string, work: () => void): void {
  const tunable = definedTunables().find((tunable) => tunable.name === name)!;
  for (const candidate of Object.keys(tunable.candidates(gpu))) {
    gpu.choices.force(name, candidate);
    work();
  }
  gpu.choices.force(name, undefined);
}

function makerOf(gpu: Gpu): Maker {
  const make = (...shape: number[]): Tensor => gpu.tensor(shape);
  return Object.assign(make, {
    when: (given: boolean, ...shape: number[]) => given ? gpu.tensor(shape) : undefined,
    integers: (...shape: number[]) => gpu.tensor(shape, undefined, "u32"),
    halves: (...shape: number[]) => gpu.tensor(shape, undefined, "f16"),
  });
}

/** Every choice of one value a name. */
function combinations<T extends Record<string, readonly unknown[]>>(
  choices: T,
): { [Name in keyof T]: T[Name][number] }[] {
  return Object.entries(choices).reduce<Record<string, unknown>[]>(
    (combined, [name, values]) =>
      combined.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  ) as { [Name in keyof T]: T[Name][number] }[];
}
