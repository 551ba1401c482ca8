import {
  BYTES_PER_ELEMENT,
  elementCount,
  type Gpu,
  type Tensor,
} from "../../../kernels/gpu/mod.ts";
import type { ModelConfiguration } from "../../configuration.ts";
import { parameterSpecifications } from "../../layers.ts";
import type { Weights } from "../weights.ts";
import { type Schema, showNames } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import type { ParameterSource } from "./parameter_source.ts";
import type { CheckpointTensors } from "./tensors.ts";

export type { ParameterSource };

const LARGEST_F16 = 65504;
const MISSHAPEN_SHOWN = 8;

/** What a family makes of a checkpoint's `config.json`. */
export interface PublishedModel {
  /** The model. */
  readonly configuration: ModelConfiguration;
  /** The longest length that it was trained at, in tokens, where the config says so. */
  readonly trainedLength?: number;
  /**
   * Where each parameter is stored, by its name in the model; may tell of more parameters than this
   * model has.
   */
  readonly sources: ReadonlyMap<string, ParameterSource>;
  /** Where other layouts keep them: the first of which all is stored, where not all of `sources` is. */
  readonly otherSources?: readonly ReadonlyMap<string, ParameterSource>[];
  /** Tensors that a checkpoint may hold besides: copies, and what is computed from its config. */
  readonly besides?: RegExp;
}

/** A kind of checkpoint. */
export interface PublishedFamily {
  /** How such a checkpoint is recognised, for errors: `"architectures": ["LlamaForCausalLM"]`. */
  readonly sign: string;
  /** Whether a checkpoint with this `config.json` is of this kind. */
  matches(config: CheckpointConfig): boolean;
  /** What the checkpoint holds. @throws {Error} for a config that is incomplete or not supported. */
  read(config: CheckpointConfig): PublishedModel;
}

/** What a family states: how it is recognised, what its config must be, and how that is read. */
export interface FamilyDefinition<Config> {
  /** As {@linkcode PublishedFamily.sign}. */
  readonly sign: string;
  /** As {@linkcode PublishedFamily.matches}. */
  matches(config: CheckpointConfig): boolean;
  /** What is read of its `config.json`, with bounds and defaults; null is the same as absent. */
  readonly schema: Schema<Config>;
  /**
   * What the checkpoint holds.
   *
   * @param config As the schema has checked it.
   * @param file The file, for errors about several fields (`file.fail()`).
   */
  read(config: Config, file: CheckpointConfig): PublishedModel;
}

/** A kind of checkpoint whose `config.json` is checked against a schema before it is read. */
export function publishedFamily<Config>(definition: FamilyDefinition<Config>): PublishedFamily {
  return {
    sign: definition.sign,
    matches: (config) => definition.matches(config),
    read: (file) => definition.read(file.check(definition.schema), file),
  };
}

/** A kind of checkpoint that comes without a `config.json`: its tensors say what it is. */
export interface BareFamily {
  /** How such a checkpoint is recognised, for errors: `blocks.0.att.r_k`. */
  readonly sign: string;
  /** What the checkpoint holds. @throws {Error} where its tensors do not say. */
  read(tensors: CheckpointTensors): PublishedModel;
}

/** Whether a `config.json` of transformers names this class or, naming none, this type of model. */
export function isTransformers(config: CheckpointConfig, name: string, type: string): boolean {
  const { architectures } = config;
  return architectures.length > 0 ? architectures.includes(name) : config.modelType === type;
}

/** Sources by parameter name, from tables of stored names (or sources): those of the model, and of each layer. */
export function sourcesOf(
  outer: Readonly<Record<string, string | ParameterSource>>,
  layers: readonly Readonly<Record<string, string | ParameterSource>>[],
): Map<string, ParameterSource> {
  const entries = [
    ...Object.entries(outer),
    ...layers.flatMap((table, index) =>
      Object.entries(table).map(([name, source]) => [`layers.${index}.${name}`, source] as const)
    ),
  ];
  return new Map(
    entries.map(([name, source]) => [name, typeof source === "string" ? { name: source } : source]),
  );
}

/** A depthwise convolution's weights, stored `[channels, 1, taps]`. */
export function convolutionSource(name: string, channels: number, taps: number): ParameterSource {
  return { name, shape: [channels, 1, taps] };
}

/** A linear map that is stored `[inputs, outputs]`. */
export function transposedSource(name: string, inputs: number, outputs: number): ParameterSource {
  return { name, shape: [inputs, outputs], map: (values) => transpose(values, inputs, outputs) };
}

/** `[rows, columns] → [columns, rows]`. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const transposed = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      transposed[column * rows + row] = values[row * columns + column];
    }
  }
  return transposed;
}

/** One of several runs of rows that each group of a stored tensor's rows consists of. */
export function runOfGroups(
  name: string,
  shape: readonly number[],
  { groups, runs, run }: { readonly groups: number; readonly runs: number; readonly run: number },
): ParameterSource {
  const size = elementCount(shape) / (groups * runs);
  return {
    name,
    shape,
    map(values): Float32Array {
      const taken = new Float32Array(groups * size);
      for (let group = 0; group < groups; group++) {
        const start = (group * runs + run) * size;
        taken.set(values.subarray(start, start + size), group * size);
      }
      return taken;
    },
  };
}

/** The rows of a stored tensor from one to before another. */
export function rowsOf(
  name: string,
  shape: readonly number[],
  [from, to]: readonly [from: number, to: number],
): ParameterSource {
  const size = elementCount(shape.slice(1));
  return { name, shape, map: (values) => values.slice(from * size, to * size) };
}

/**
 * Loads a model's parameters into the GPU, one after the other; the caller disposes of them.
 *
 * @param options How the weights of linear maps and of the embedding are kept on the GPU; all else is f32, and so are they
 * by default.
 * @throws {Error} that lists what is missing, extra or misshapen, before anything is loaded.
 * @throws {RangeError} where a parameter takes more than the adapter allows in one binding, or all of
 * them more than there is memory.
 */
export async function loadParameters(
  gpu: Gpu,
  weights: Weights,
  model: PublishedModel,
  options: { dtype?: "f32" | "f16" } = {},
): Promise<Map<string, Tensor>> {
  const planned = planParameters(weights, model, options.dtype ?? "f32");
  checkFit(
    gpu,
    weights.path,
    planned.map(({ source, ...planned }) => ({ ...planned, name: source.name })),
  );
  using loaded = new DisposableStack();
  const tensors = new Map<string, Tensor>();
  for (const parameter of planned) {
    tensors.set(parameter.name, loaded.use(await loadParameter(gpu, weights, parameter)));
  }
  loaded.move();
  return tensors;
}

/**
 * Checks that a model's parameters fit the GPU, from its configuration alone.
 *
 * @param name The checkpoint, for errors.
 * @throws {RangeError} where a parameter takes more than the adapter allows in one binding, or all of
 * them more than there is memory.
 */
export function checkModelFits(
  gpu: Gpu,
  name: string,
  configuration: ModelConfiguration,
  options: { dtype?: "f32" | "f16" } = {},
): void {
  checkFit(gpu, name, planTensors(configuration, options.dtype ?? "f32"));
}

interface PlannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: "f32" | "f16";
}

interface Planned extends PlannedTensor {
  readonly source: ParameterSource;
}

function planTensors(configuration: ModelConfiguration, matrices: "f32" | "f16"): PlannedTensor[] {
  return parameterSpecifications(configuration).map(({ name, shape, decays }) => {
    // Those that decay are the linear maps' weights.
    const isMatrix = decays || name === "embedding.weight";
    return { name, shape, dtype: isMatrix ? matrices : "f32" };
  });
}

function planParameters(
  weights: Weights,
  { configuration, sources, otherSources = [], besides }: PublishedModel,
  matrices: "f32" | "f16",
): Planned[] {
  const planWith = (sources: ReadonlyMap<string, ParameterSource>): Planned[] =>
    planTensors(configuration, matrices).map((tensor): Planned => {
      const source = sources.get(tensor.name);
      if (source === undefined) throw new Error(`No source tells where ${tensor.name} is stored`);
      return { ...tensor, source };
    });
  const isStored = (planned: readonly Planned[]): boolean =>
    planned.every(({ source }) => weights.tensors.has(source.name));
  const current = planWith(sources);
  const layouts = [current, ...otherSources.map(planWith)];
  const planned = layouts.find(isStored) ?? current;
  const shapes = new Map(
    planned.map(({ shape, source }) => [source.name, source.shape ?? shape]),
  );
  const missing = [...shapes.keys()].filter((name) => !weights.tensors.has(name));
  const extra = [...weights.tensors.keys()].filter((name) =>
    !shapes.has(name) && !besides?.test(name) &&
    // A tied head may be stored besides: see stored_head.ts.
    name !== sources.get("head.weight")?.name
  );
  const misshapen = [...shapes].flatMap(([name, shape]) => {
    const stored = weights.tensors.get(name)?.shape;
    return stored && `${stored}` !== `${shape}`
      ? [`${showNames([name])} has shape [${stored}], not [${shape}]`]
      : [];
  });
  const integers = [...shapes.keys()].filter((name) =>
    /^[IU]|^BOOL$/.test(weights.tensors.get(name)?.dtype ?? "")
  );
  const reasons = [
    ...(missing.length > 0 ? [`it lacks ${showNames(missing)}`] : []),
    ...(extra.length > 0 ? [`it has tensors of another model: ${showNames(extra)}`] : []),
    ...misshapen.slice(0, MISSHAPEN_SHOWN),
    ...(integers.length > 0
      ? [`quantized weights are not supported, and it stores integers in ${showNames(integers)}`]
      : []),
  ];
  if (reasons.length > 0) {
    throw new Error(
      `Cannot load ${weights.path} as a ${configuration.family} model: ${reasons.join("; ")}`,
    );
  }
  return planned;
}

function checkFit(gpu: Gpu, name: string, tensors: readonly PlannedTensor[]): void {
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.device.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  let sum = 0;
  for (const { name: tensor, shape, dtype } of tensors) {
    const bytes = elementCount(shape) * BYTES_PER_ELEMENT[dtype];
    if (bytes > limit) {
      const halved = dtype === "f32" && gpu.supportsF16 && bytes / 2 <= limit;
      throw new RangeError(
        `Cannot load ${name} as ${tensor} takes ${bytes} bytes on the GPU: the adapter allows ${limit} in one binding${
          halved ? '; load it with dtype "f16"' : ""
        }`,
      );
    }
    sum += bytes;
  }
  gpu.checkRoom(sum, `load ${name}`);
}

async function loadParameter(
  gpu: Gpu,
  weights: Weights,
  { shape, dtype, source: { name, map } }: Planned,
): Promise<Tensor> {
  if (map === undefined) {
    using stored = await weights.load(gpu, name, { dtype });
    return stored.reshape(shape);
  }
  const values = map(await weights.readFloats(name));
  if (values.length !== elementCount(shape)) {
    throw new Error(`${name} gives ${values.length} elements for a parameter of shape [${shape}]`);
  }
  if (dtype === "f16" && values.some((value) => Math.abs(value) > LARGEST_F16)) {
    throw new RangeError(`Cannot load ${name} from ${weights.path} as f16: load it as f32`);
  }
  return gpu.tensor(shape, values, dtype);
}
