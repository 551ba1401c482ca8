import { ACTIVATION_KINDS, type ActivationKind } from "../common/activation_kinds.ts";
import {
  checkNames,
  checkOption,
  checkOptions,
  checkTensor,
  finite,
  flag,
  FLOATS,
  type Gpu,
  notNegative,
  oneOf,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { MATMUL } from "./shaders.ts";
import { vectorTiling } from "./tiling.ts";

const PROJECT = MATMUL.kernel("project");
const NAMES = ["x", "projections", "normWeight", "addend"];
/** Weights that the shader has bindings for. */
const MOST_WEIGHTS = 6;
/** The shader's kind of no activation. */
const NO_KIND = 255;

/** One of the products of {@linkcode project}. */
export interface Projection {
  /** `[N, K]`, f32 or f16, as all of a call. */
  readonly weight: Tensor;
  /** Added to the product: `[N]`, stored as the weight is. */
  readonly bias?: Tensor;
  /** What acts on the sum; the second of two that are `gated` has none. @default nothing */
  readonly activation?: ActivationKind;
}

/** What {@linkcode project} takes. */
export interface ProjectInputs {
  /** `[..., K]`, f32; K is a multiple of 4. */
  readonly x: Tensor;
  /** One to six. */
  readonly projections: readonly Projection[];
  /** Where it is given, the products are of the RMS norm of `x`: `[K]`, f32. */
  readonly normWeight?: Tensor;
  /** Added to the first output: `[..., N]`, f32. */
  readonly addend?: Tensor;
}

/** Options of {@linkcode project}. */
export interface ProjectOptions {
  /** What the norm adds to the mean square. @default 1e-5 */
  readonly epsilon?: number;
  /** What the activations are multiplied by. @default 1 */
  readonly factor?: number;
  /**
   * Whether there is one output, the first of two projections, with its activation, times the second.
   *
   * @default {false}
   */
  readonly gated?: boolean;
}

const RULES = { epsilon: notNegative, factor: finite, gated: flag };

/** What {@linkcode project} returns. */
export interface ProjectOutputs extends Disposable {
  /** `[..., N]`, f32: one for each projection; one in all where they are `gated`. */
  readonly outputs: readonly Tensor[];
}

/**
 * Linear maps of a few rows that share their input, in one dispatch: for generated tokens, where a
 * dispatch costs more than the arithmetic. With `x' = x · inverseSqrt(mean(x²) + ε) · normWeight` where
 * there is a norm, and `x` else:
 *
 * `output = activation(x' · weightᵀ + bias) · factor (+ addend)`
 *
 * and where `gated`, `output = activation(x' · weight₀ᵀ + bias₀) · factor · (x' · weight₁ᵀ + bias₁) (+ addend)`. Each row of
 * `x` reads the weights anew: `matmul()` is the faster one for many.
 *
 * ```ts
 * import { openGpu, project } from "@lengthwise/lengthwise/kernels";
 *
 * await using gpu = await openGpu();
 * using x = gpu.tensor([1, 4], [3, 0, 0, 0]);
 * using normWeight = gpu.tensor([4], [1, 1, 1, 1]);
 * using weight = gpu.tensor([1, 4], [0.5, 0, 0, 0]);
 * using up = gpu.tensor([2, 4], [1, 0, 0, 0, 0, 1, 0, 0]);
 * using projected = project(gpu, { x, normWeight, projections: [{ weight }, { weight: up }] });
 * console.log(await gpu.read(projected.outputs)); // 1, and 2, 0: the norm of x is 2, 0, 0, 0
 * ```
 *
 * @throws {RangeError} where a shape, a data type or an option does not fit.
 */
export function project(
  gpu: Gpu,
  inputs: ProjectInputs,
  options: ProjectOptions = {},
): ProjectOutputs {
  const op = "project";
  checkOptions(op, options, RULES);
  checkNames(op, inputs, NAMES);
  const { x, projections, normWeight, addend } = inputs;
  const { epsilon = 1e-5, factor = 1, gated = false } = options;
  const reduction = x.shape[x.shape.length - 1] ?? 0;
  const leading = x.shape.slice(0, -1);
  checkTensor(op, "x", x, x.shape);
  if (reduction % 4 !== 0 || reduction === 0) {
    throw new RangeError(
      `Cannot run ${op}() as the last axis of x must be a multiple of 4: current shape is [${x.shape}]`,
    );
  }
  const most = gated ? 2 : MOST_WEIGHTS;
  if (projections.length < (gated ? 2 : 1) || projections.length > most) {
    throw new RangeError(
      `Cannot run ${op}() as there must be ${
        gated ? "2" : `1 to ${most}`
      } projections: current number is ${projections.length}`,
    );
  }
  const dtype = projections[0].weight.dtype;
  const sizes = projections.map(({ weight, bias, activation }, i) => {
    const name = (part: string): string => `projections[${i}].${part}`;
    const columns = weight.shape[0];
    checkTensor(op, name("weight"), weight, [columns, reduction], i === 0 ? FLOATS : dtype);
    if (bias) checkTensor(op, name("bias"), bias, [columns], dtype);
    if (activation) checkOption(op, name("activation"), activation, oneOf(ACTIVATION_KINDS));
    return columns;
  });
  if (gated) {
    checkTensor(op, "projections[1].weight", projections[1].weight, [sizes[0], reduction], dtype);
    if (projections[1].activation !== undefined) {
      throw new RangeError(
        `Cannot run ${op}() with gated where projections[1] has an activation: current activation is ${
          projections[1].activation
        }; give it to projections[0]`,
      );
    }
  }
  if (normWeight) checkTensor(op, "normWeight", normWeight, [reduction]);
  if (addend) checkTensor(op, "addend", addend, [...leading, sizes[0]]);

  const product = { ...inputs, rows: x.size / reduction, reduction, epsilon, factor };
  if (gated) return results({ outputs: dispatch(gpu, product, leading, true) });
  const outputs: Tensor[] = [];
  for (const part of parts(gpu, inputs)) {
    const first = outputs.length === 0;
    const some = { ...product, projections: part, addend: first ? addend : undefined };
    outputs.push(...dispatch(gpu, some, leading, false));
  }
  return results({ outputs });
}

/** The projections of each dispatch: as many as an adapter's bindings allow. */
function parts(gpu: Gpu, { projections, normWeight, addend }: ProjectInputs): Projection[][] {
  const given = [normWeight, addend].filter((tensor) => tensor !== undefined).length;
  const most = gpu.device.limits.maxStorageBuffersPerShaderStage - 1 - given;
  const parts: Projection[][] = [];
  let bindings = Infinity;
  for (const projection of projections) {
    const own = projection.bias ? 3 : 2;
    if (bindings + own > most) {
      parts.push([]);
      bindings = 0;
    }
    parts[parts.length - 1].push(projection);
    bindings += own;
  }
  return parts;
}

interface Product extends ProjectInputs {
  readonly rows: number;
  readonly reduction: number;
  readonly epsilon: number;
  readonly factor: number;
}

function dispatch(
  gpu: Gpu,
  product: Product,
  leading: readonly number[],
  gated: boolean,
): Tensor[] {
  const { x, projections, normWeight, addend, rows, reduction, epsilon, factor } = product;
  const sizes = projections.map(({ weight }) => weight.shape[0]);
  const outputs = (gated ? sizes.slice(0, 1) : sizes).map((size) => gpu.empty([...leading, size]));
  const tiling = vectorTiling(gpu.adapter.software, { transposeB: true, reduction });
  const blocks = outputs.reduce(
    (sum, { shape }) => sum + Math.ceil(shape[shape.length - 1] / (4 * tiling.GROUPS)),
    0,
  );
  const numbered = <Value>(name: string, values: readonly Value[]): Record<string, Value> =>
    Object.fromEntries(values.map((value, i) => [`${name}${i}`, value]));
  gpu.dispatch(PROJECT, {
    constants: {
      ...tiling,
      ...numbered(
        "KIND",
        projections.map(({ activation }) =>
          activation === undefined ? NO_KIND : ACTIVATION_KINDS.indexOf(activation)
        ),
      ),
      WEIGHTS: outputs.length,
      GATED: gated,
      Element: projections[0].weight.dtype,
    },
    uniform: {
      rows,
      vectors: reduction / 4,
      epsilon,
      factor,
      ...numbered("columns", Array.from({ length: MOST_WEIGHTS }, (_, i) => sizes[i] ?? 0)),
    },
    read: {
      x,
      normWeight,
      addend,
      ...numbered("weight", projections.map(({ weight }) => weight)),
      ...numbered("bias", projections.map(({ bias }) => bias)),
    },
    write: numbered("output", outputs),
    workgroups: rows * blocks,
  });
  return outputs;
}
