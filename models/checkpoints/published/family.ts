import { elementCount, type Gpu } from "../../../kernels/gpu/mod.ts";
import type { Matrix } from "../../../kernels/storage/mod.ts";
import type { ModelConfiguration } from "../../configuration.ts";
import {
  blockRows,
  bytesInForms,
  type KeptParameter,
  keptParameters,
  weightBytes,
  type WeightType,
} from "../../matrices.ts";
import { Loader, type StoredElements } from "../loader.ts";
import type { Weights } from "../weights.ts";
import { type Schema, showNames } from "../../schema.ts";
import type { CheckpointConfig } from "./config.ts";
import type { ParameterSource } from "./parameter_source.ts";
import type { CheckpointTensors } from "./tensors.ts";

export type { ParameterSource };

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
  /**
   * Whether `read()` itself refuses experts: such configs give their number where no layer has any, too.
   *
   * @default false
   */
  readonly refusesParts?: boolean;
  /** Whether a checkpoint with this `config.json` is of this kind. */
  matches(config: CheckpointConfig): boolean;
  /** What the checkpoint holds. @throws {Error} for a config that is incomplete or not supported. */
  read(config: CheckpointConfig): PublishedModel;
}

/** What a family states: how it is recognised, what its config must be, and how that is read. */
export interface FamilyDefinition<Config> {
  /** As {@linkcode PublishedFamily.sign}. */
  readonly sign: string;
  /** As {@linkcode PublishedFamily.refusesParts}. */
  readonly refusesParts?: boolean;
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
    refusesParts: definition.refusesParts,
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
  return { name, shape, range: [from * size, to * size] };
}

/**
 * Loads a model's parameters into the GPU, one after the other; the caller disposes of them.
 *
 * @param options How the weights of linear maps and of the embedding are kept on the GPU; all else is f32, and so are they
 * by default.
 * @returns By name one tensor; of a matrix that takes more than the adapter allows in one binding, its
 * rows in several.
 * @throws {Error} that lists what is missing, extra or misshapen, before anything is loaded.
 * @throws {RangeError} where all of them take more than there is memory.
 */
export async function loadParameters(
  gpu: Gpu,
  weights: Weights,
  model: PublishedModel,
  options: { dtype?: WeightType } = {},
): Promise<Map<string, Matrix[]>> {
  const planned = planParameters(weights, model, options.dtype ?? "f32");
  checkModelFits(gpu, weights.path, model.configuration, options);
  using loader = new Loader(gpu, weights.path, { tensors: planned.length });
  using loaded = new DisposableStack();
  const parameters = new Map<string, Matrix[]>();
  for (const { source, ...kept } of planned) {
    const stored = { ...kept, name: source.name };
    const matrices = await loader.load(stored, await storedElements(weights, kept.shape, source));
    for (const matrix of matrices) loaded.use(matrix);
    parameters.set(kept.name, matrices);
  }
  await loader.finish();
  loaded.move();
  return parameters;
}

/** A parameter's elements. */
async function storedElements(
  weights: Weights,
  shape: readonly number[],
  { name, range, map }: ParameterSource,
): Promise<StoredElements> {
  if (map === undefined) return weights.elements(name, range?.[0]);
  const all = await weights.readFloats(name);
  const values = map(range ? all.subarray(...range) : all);
  if (values.length !== elementCount(shape)) {
    throw new Error(`${name} gives ${values.length} elements for a parameter of shape [${shape}]`);
  }
  const { buffer, byteOffset } = values;
  return {
    dtype: "F32",
    read: (first, last) =>
      Promise.resolve(
        new Uint8Array(buffer as ArrayBuffer, byteOffset + 4 * first, 4 * (last - first)),
      ),
  };
}

/**
 * Checks that a model's parameters fit the GPU, from its configuration alone.
 *
 * @param name The checkpoint, for errors.
 * @throws {RangeError} where they take more memory than there is: with what they take in each form.
 */
export function checkModelFits(
  gpu: Gpu,
  name: string,
  configuration: ModelConfiguration,
  options: { dtype?: WeightType } = {},
): void {
  const { dtype = "f32" } = options;
  for (const kept of keptParameters(configuration, dtype)) blockRows(gpu, kept);
  const what = dtype === "f32" ? name : `${name} in ${dtype}`;
  gpu.checkRoom(weightBytes(configuration, dtype), `load ${what}`, {
    otherwise: `it takes ${bytesInForms(configuration)}`,
  });
}

interface Planned extends KeptParameter {
  readonly source: ParameterSource;
}

function planParameters(
  weights: Weights,
  { configuration, sources, otherSources = [], besides }: PublishedModel,
  dtype: WeightType,
): Planned[] {
  const planWith = (sources: ReadonlyMap<string, ParameterSource>): Planned[] =>
    keptParameters(configuration, dtype).map((tensor): Planned => {
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
