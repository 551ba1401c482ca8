import { assert, assertEquals } from "@std/assert";
import {
  architecture,
  ARCHITECTURES,
  mixersOf,
  Model,
  type ModelConfiguration,
  type ModelState,
  Tape,
} from "../../models/mod.ts";
import { MIXER_KINDS } from "../../models/mixers/registry.ts";
import { reshape } from "../../models/operations.ts";
import { assertClose, normals, testGpu, uniforms } from "../testing.ts";

const VOCABULARY = 24;
const LENGTH = 77;

function tokensOf(seed: number, count: number): Uint32Array {
  return Uint32Array.from(uniforms(seed, count, 0, VOCABULARY - 0.01), Math.floor);
}

/** What published models do that none of the architectures does. */
const OPTIONS: ModelConfiguration = {
  family: "options of published models",
  vocabulary: VOCABULARY,
  width: 32,
  normEpsilon: 1e-3,
  embeddingScale: 1.5,
  tiedHead: true,
  logitSoftCap: 8,
  layers: [
    {
      mixer: {
        kind: "attention",
        heads: 2,
        keyHeads: 1,
        headDim: 12,
        rotaryBase: 10_000,
        rotaryDim: 8,
        rotaryScaling: { kind: "yarn", factor: 4, trainedLength: 16 },
        scale: 0.4,
        bias: true,
        outputBias: true,
        convolution: 3,
      },
      channelMixer: { kind: "geglu", hidden: 40, bias: true },
    },
    {
      mixer: {
        kind: "rg_lru",
        recurrentWidth: 24,
        bias: true,
        gateBlocks: 3,
        resetFirst: true,
      },
    },
    {
      mixer: {
        kind: "mamba2",
        heads: 4,
        headDim: 8,
        stateDim: 8,
        groups: 2,
        convolutionBias: false,
        bias: true,
        stepLimit: { low: 0.002, high: 0.05 },
        normGroups: 2,
        normEpsilon: 1e-3,
      },
    },
    {
      mixer: { kind: "mamba2", heads: 4, headDim: 8, stateDim: 8, normBeforeGate: true },
    },
    {
      mixer: { kind: "mamba1", inner: 24, stateDim: 4, convolutionBias: false, bias: true },
    },
  ],
};

/** What linear RNNs as flash-linear-attention has them do that none of the architectures does. */
const RNN_OPTIONS: ModelConfiguration = {
  family: "options of published linear RNNs",
  vocabulary: VOCABULARY,
  width: 32,
  layers: [
    {
      mixer: {
        kind: "gla",
        heads: 4,
        keyHeads: 2,
        keyDim: 8,
        valueDim: 12,
        convolution: 3,
        gateRank: 4,
        featureMap: "elu_plus_one",
        // Log-sigmoids over 16: this floor binds for about half of them.
        lowestLogDecay: -0.043,
        outputGate: false,
        normEpsilon: 1e-3,
      },
    },
    {
      mixer: {
        kind: "retnet",
        heads: 4,
        keyHeads: 1,
        keyDim: 8,
        valueDim: 12,
        featureMap: "silu",
        outputGate: false,
        normEpsilon: 1e-3,
      },
    },
    {
      mixer: {
        kind: "delta_net",
        heads: 2,
        keyDim: 8,
        valueDim: 12,
        convolution: 3,
        activation: "elu_plus_one",
        fixedStrength: true,
        outputGate: true,
        normEpsilon: 1e-3,
      },
    },
    {
      mixer: {
        kind: "gated_delta_net",
        heads: 4,
        keyHeads: 2,
        keyDim: 8,
        valueDim: 12,
        convolution: 0,
        outputGate: false,
        negativeEigenvalues: true,
        normEpsilon: 1e-3,
      },
    },
  ],
};

/** Attention as interventions change it. */
const POSITIONS: ModelConfiguration = {
  family: "changed attention",
  vocabulary: VOCABULARY,
  width: 32,
  layers: [
    { mixer: { kind: "attention", heads: 3, headDim: 8, window: 20, alibi: true } },
    {
      mixer: {
        kind: "attention",
        heads: 2,
        headDim: 8,
        window: 20,
        sinks: 3,
        rotaryBase: 100,
      },
    },
  ],
};

/** Layers that hold several mixers or none, and norms on their other sides. */
const LAYERS: ModelConfiguration = {
  family: "layers of published hybrids",
  vocabulary: VOCABULARY,
  width: 32,
  tiedHead: true,
  logitScale: 0.3,
  layers: [
    {
      mixer: {
        kind: "parallel",
        mixers: [
          {
            kind: "attention",
            heads: 4,
            keyHeads: 2,
            headDim: 8,
            rotaryBase: 10_000,
            rotaryDim: 4,
            rotaryGain: 1.3,
            queryKeyNorm: "head",
            normEpsilon: 1e-3,
            outputGate: true,
            bias: true,
          },
          { kind: "mamba2", heads: 4, headDim: 8, stateDim: 8, normGroups: 0 },
        ],
      },
      channelMixer: { kind: "swiglu", hidden: 40 },
      norms: "around",
    },
    { channelMixer: { kind: "relu_squared", hidden: 40, bias: true } },
    { channelMixer: { kind: "rwkv7", hidden: 40 } },
    {
      mixer: {
        kind: "attention",
        heads: 4,
        headDim: 8,
        queryKeyNorm: "together",
        softCap: 3,
        window: 20,
      },
      channelMixer: { kind: "geglu", hidden: 40 },
      norms: "behind",
    },
    { mixer: { kind: "mamba1", inner: 24, stateDim: 4, selectionEpsilon: 1e-3 } },
  ],
};

/** What mixers of flash-linear-attention's and LFM2's do that none of the architectures does. */
const MIXER_OPTIONS: ModelConfiguration = {
  family: "options of newer mixers",
  vocabulary: VOCABULARY,
  width: 32,
  layers: [
    {
      mixer: {
        kind: "kda",
        heads: 4,
        keyHeads: 2,
        keyDim: 8,
        valueDim: 12,
        rank: 6,
        convolution: 0,
        negativeEigenvalues: true,
        lowestLogDecay: -3,
        normEpsilon: 1e-3,
      },
    },
    {
      mixer: {
        kind: "gated_delta_net",
        heads: 4,
        keyHeads: 2,
        keyDim: 8,
        valueDim: 12,
        steps: 3,
        outputGate: false,
      },
    },
    {
      mixer: {
        kind: "delta_net",
        heads: 2,
        keyDim: 8,
        valueDim: 12,
        steps: 2,
        fixedStrength: true,
      },
    },
    { mixer: { kind: "hgrn", channels: 24, convolution: 3, normEpsilon: 1e-3 } },
    { mixer: { kind: "short_convolution", convolution: 4, bias: true } },
  ],
};

function configurations(): ModelConfiguration[] {
  return [
    POSITIONS,
    LAYERS,
    MIXER_OPTIONS,
    ...Object.keys(ARCHITECTURES).map((name) =>
      architecture(name, { vocabulary: VOCABULARY, width: 32 })
    ),
    OPTIONS,
    RNN_OPTIONS,
  ];
}

Deno.test("every mixer of the registry is in one of the models that are tested", () => {
  const tested = configurations().flatMap(({ layers }) => layers)
    .flatMap((layer) => [layer.mixer?.kind, ...mixersOf(layer).map(({ kind }) => kind)]);
  const missing = MIXER_KINDS.filter((kind) => !tested.includes(kind));
  assertEquals(missing, [], "give them an architecture in models/configuration.ts");
});

for (const configuration of configurations()) {
  const { family } = configuration;

  Deno.test(`${family}: segment by segment equals whole`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const tokens = tokensOf(1, LENGTH);
    using whole = model.forward(tokens);
    let state: ModelState | undefined;
    const parts = [];
    for (const [start, end] of [[0, 40], [40, 41], [41, 43], [43, LENGTH]]) {
      const advanced = model.advance(tokens.subarray(start, end), state);
      state = advanced.state;
      parts.push(advanced.logits);
    }
    state![Symbol.dispose]();
    const [expected, ...segments] = await gpu.read([whole, ...parts]);
    const joined = segments.flatMap((segment) => Array.from(segment));
    assertClose(joined, expected, 1e-4, `${family} in segments`);
    for (const part of parts) part[Symbol.dispose]();
  });

  Deno.test(`${family}: token by token equals whole, and generation follows the logits`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const prompt = tokensOf(2, 41);
    const generated = await model.generate(prompt, { maxTokens: 5 });
    assertEquals(generated.length, 5);
    using logits = model.forward([...prompt, ...generated]);
    const values = await logits.read();
    const likeliest = generated.map((_, i) => {
      const row = values.subarray((40 + i) * VOCABULARY, (41 + i) * VOCABULARY);
      return row.indexOf(Math.max(...row));
    });
    assertEquals(generated, likeliest);
  });

  Deno.test(`${family}: the gradient predicts how the loss moves`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const tokens = tokensOf(3, 2 * 21);
    const weights = normals(4, 2 * 21 * VOCABULARY);
    using input = gpu.tensor([2, 21], tokens, "u32");
    const loss = async (): Promise<number> => {
      using tape = new Tape(gpu);
      const { hidden } = model.read(tape, input);
      const values = await model.head(tape, hidden).tensor.read();
      return values.reduce((sum, value, i) => sum + value * weights[i], 0);
    };
    {
      using tape = new Tape(gpu, { recording: true });
      const { hidden } = model.read(tape, input);
      const rows = reshape(tape, hidden, [42, model.configuration.width]);
      const gradient = gpu.tensor([42, VOCABULARY], weights);
      tape.backward([{ variable: model.head(tape, rows), gradient }]);
    }
    for (const [name, { tensor, gradient }] of model.parameters) {
      assert(gradient !== undefined, `${name} has no gradient`);
      const [values, slope] = await gpu.read([tensor, gradient]);
      const norm = Math.hypot(...slope);
      assert(Number.isFinite(norm), `${name}: gradient is ${norm}`);
      if (norm < 1e-3) continue;
      // Far enough that the loss moves by more than it is rounded, near enough that it is straight.
      const reach = Math.max(1, Math.hypot(...values));
      const distance = Math.min(0.02 * reach, Math.max(5e-4 * reach, 0.02 / norm));
      const size = distance / norm;
      tensor.write(values.map((value, i) => value + size * slope[i]));
      const above = await loss();
      tensor.write(values.map((value, i) => value - size * slope[i]));
      const below = await loss();
      tensor.write(values);
      const ratio = (above - below) / (2 * size * norm * norm);
      assert(
        Math.abs(ratio - 1) < 0.03,
        `${family} ${name}: slope is off by a factor of ${ratio} (norm ${norm}, size ${size})`,
      );
      gradient[Symbol.dispose]();
    }
  });

  Deno.test(`${family}: stateBytes() is what the state holds`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    for (const length of [1, 3, 50]) {
      const { logits, state } = model.advance(tokensOf(5, length));
      using _logits = logits;
      const held = state.take().flatMap(({ tensors }) => Object.values(tensors));
      const bytes = held.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
      assertEquals(bytes, model.stateBytes(length));
      for (const { tensor } of held) tensor[Symbol.dispose]();
    }
  });
}
