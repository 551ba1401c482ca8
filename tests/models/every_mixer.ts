/** Models that hold every mixer of the registry, with every option that any model has. */
import { architecture, ARCHITECTURES, type ModelConfiguration } from "../../models/mod.ts";
import { uniforms } from "../testing.ts";

/** Their tokens. */
export const VOCABULARY = 24;

/** Tokens of a seed. */
export function tokensOf(seed: number, count: number): Uint32Array {
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

/** The models. */
export function configurations(): ModelConfiguration[] {
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
