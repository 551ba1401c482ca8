import { MeasuredInputs } from "../../kernels/common/measured.ts";
import type { Matrix } from "../../kernels/storage/mod.ts";
import type { FloatType, Gpu } from "../../kernels/gpu/mod.ts";
import { Model, type ModelConfiguration, type WeightType } from "../../models/mod.ts";
import { parameterSpecifications } from "../../models/layers.ts";
import { blockRows, keptParameters } from "../../models/matrices.ts";
import { uniformSource } from "../../models/parameters.ts";

/** A model of a published one's shape, with so many layers. */
type Shape = (layers?: number) => ModelConfiguration;

/** Shapes of published models, to be filled with random weights. */
export const SHAPES: Readonly<Record<string, Shape>> = {
  /** Dao & Gu 2024, mamba2-1.3b. */
  "mamba2-1.3b": (layers = 48) => ({
    family: "mamba2",
    vocabulary: 50_288,
    width: 2048,
    tiedHead: true,
    layers: new Array(layers).fill({
      mixer: { kind: "mamba2", heads: 64, headDim: 64, stateDim: 128 },
    }),
  }),
  /** Llama 3.2 1B. */
  "llama-1b": (layers = 16) => ({
    family: "transformer",
    vocabulary: 128_256,
    width: 2048,
    tiedHead: true,
    layers: new Array(layers).fill({
      mixer: { kind: "attention", heads: 32, keyHeads: 8, headDim: 64, rotaryBase: 500_000 },
      channelMixer: { kind: "swiglu", hidden: 8192 },
    }),
  }),
  /** Qwen 3 0.6B. */
  "qwen3-0.6b": (layers = 28) => ({
    family: "transformer",
    vocabulary: 151_936,
    width: 1024,
    tiedHead: true,
    layers: new Array(layers).fill({
      mixer: {
        kind: "attention",
        heads: 16,
        keyHeads: 8,
        headDim: 128,
        rotaryBase: 1_000_000,
        queryKeyNorm: "head",
      },
      channelMixer: { kind: "swiglu", hidden: 3072 },
    }),
  }),
};

/**
 * A model with random weights that the GPU fills in: of any size in no time, and as good as another to see
 * how long it takes.
 */
export function randomModel(
  gpu: Gpu,
  configuration: ModelConfiguration,
  dtype: WeightType & FloatType,
): Model {
  const inputs = new MeasuredInputs(gpu); // which the model takes over
  const initial = new Map(
    parameterSpecifications(configuration).map(({ name, initial }) => [name, initial]),
  );
  const values = new Map<string, Float32Array | readonly Matrix[]>();
  for (const kept of keptParameters(configuration, dtype)) {
    const { name, shape } = kept;
    if (shape.length !== 2) {
      const size = shape.reduce((product, extent) => product * extent, 1);
      values.set(name, initial.get(name)!(size, uniformSource(0, name)));
      continue;
    }
    const bound = Math.sqrt(3 / shape[1]);
    const blocks = blockRows(gpu, kept).map((rows) =>
      inputs.tensor([rows, shape[1]], -bound, bound, kept.dtype as FloatType)
    );
    values.set(name, blocks);
  }
  return new Model(gpu, configuration, values);
}
