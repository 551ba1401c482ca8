import { ACTIVATION_KINDS, type ActivationKind } from "../common/activation_kinds.ts";
import { type Matrix, quantizedBits, QuantizedMatrix } from "../common/quantized_matrix.ts";
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
  Tensor,
} from "../gpu/mod.ts";
import { MATMUL } from "./shaders.ts";
import { vectorTiling } from "./tiling.ts";

const PROJECT = MATMUL.kernel("project");
const NAMES = ["x", "projections", "normWeight", "addend"];
/** Weights that the shader has bindings for. */
const MOST_WEIGHTS = 6;
/** The shader's kind of no activation. */
const NO_KIND = 255;
/** What a weight is made of in the shader. */
const STORED = { f32: "vec4f", f16: "vec4h", int8: "u32", int4: "u32" } as const;

/** One of the products of {@linkcode project}. */
export interface Projection {
  /**
   * `[N, K]`, f32, f16 or quantized, as all of a call; or a list: its rows in several, in their order,
   * where they are more than one binding may have.
   */
  readonly weight: Matrix | readonly Matrix[];
  /** The first of the rows of `weight`, and of `bias`, that it is of, and how many. @default all */
  readonly rows?: readonly [first: number, count: number];
  /** Added to the product: `[N]`, f32 or f16, as all of a call. */
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
  const weights = blocksOf(projections, reduction, gated);
  const firstBias = projections.find(({ bias }) => bias !== undefined)?.bias;
  const sizes = projections.map(({ bias, activation, rows }, i) => {
    const name = (part: string): string => `projections[${i}].${part}`;
    const columns = weights[i].reduce((sum, { shape }) => sum + shape[0], 0);
    if (rows) checkRows(name("rows"), rows, weights[i]);
    const types = bias === firstBias ? FLOATS : firstBias?.dtype;
    if (bias) checkTensor(op, name("bias"), bias, [columns], types);
    if (activation) checkOption(op, name("activation"), activation, oneOf(ACTIVATION_KINDS));
    return rows?.[1] ?? columns;
  });
  if (gated && sizes[0] !== sizes[1]) {
    throw new RangeError(
      `Cannot run ${op}() with gated where projections have ${sizes[0]} and ${
        sizes[1]
      } rows: give both as many`,
    );
  }
  if (gated && projections[1].activation !== undefined) {
    throw new RangeError(
      `Cannot run ${op}() with gated where projections[1] has an activation: current activation is ${
        projections[1].activation
      }; give it to projections[0]`,
    );
  }
  if (normWeight) checkTensor(op, "normWeight", normWeight, [reduction]);
  if (addend) checkTensor(op, "addend", addend, [...leading, sizes[0]]);

  const shared = { x, normWeight, rows: x.size / reduction, reduction, epsilon };
  const outputs = (gated ? sizes.slice(0, 1) : sizes).map((size) => gpu.empty([...leading, size]));
  const terms = projections.map(({ bias, activation, rows }, i) => ({
    blocks: weights[i],
    rows,
    bias,
    activation,
    output: outputs[i],
  }));
  if (gated) runGated(gpu, shared, terms, { output: outputs[0], addend, factor });
  else runEach(gpu, shared, terms, { addend, factor });
  return results({ outputs });
}

/**
 * The blocks of each weight.
 *
 * @throws {RangeError} where there is none, or one does not fit with the others.
 */
function blocksOf(
  projections: readonly Projection[],
  reduction: number,
  gated: boolean,
): (readonly Matrix[])[] {
  const weights = projections.map(({ weight }) => weight instanceof Array ? weight : [weight]);
  weights.forEach((blocks, i) => {
    const name = `projections[${i}].weight`;
    if (blocks.length === 0 || (gated && blocks.length !== weights[0].length)) {
      throw new RangeError(
        `Cannot run project() as ${name} must be in ${
          i === 0 || !gated ? "a block or more" : `${weights[0].length} blocks, as the first is`
        }: current number is ${blocks.length}`,
      );
    }
    blocks.forEach((block, j) => {
      const rows = (gated ? weights[0][j] : block)?.shape?.[0];
      const each = blocks === projections[i].weight ? `${name}[${j}]` : name;
      checkWeight(each, block, [rows, reduction], weights[0][0]);
    });
  });
  return weights;
}

function checkRows(
  name: string,
  [first, count]: readonly [number, number],
  blocks: readonly Matrix[],
): void {
  const rows = blocks.reduce((sum, { shape }) => sum + shape[0], 0);
  const isRange = Number.isInteger(first) && Number.isInteger(count) && first >= 0 && count >= 0 &&
    first + count <= rows;
  if (isRange) return;
  throw new RangeError(
    `Cannot run project() as ${name} must be the first and the number of some of ${rows} rows: current value is [${first}, ${count}]`,
  );
}

function checkWeight(
  name: string,
  weight: Matrix,
  shape: readonly number[],
  { dtype }: Matrix,
): void {
  if (!(weight instanceof QuantizedMatrix)) checkTensor("project", name, weight, shape, FLOATS);
  else if (`${weight.shape}` !== `${shape}`) {
    throw new RangeError(
      `Cannot run project() as ${name} must have shape [${shape}]: current shape is [${weight.shape}]`,
    );
  }
  if (weight.dtype !== dtype) {
    throw new RangeError(
      `Cannot run project() as ${name} must be ${dtype}, as the first is: current data type is ${weight.dtype}`,
    );
  }
}

/** What all products of a call share. */
interface Shared {
  readonly x: Tensor;
  readonly normWeight: Tensor | undefined;
  readonly rows: number;
  readonly reduction: number;
  readonly epsilon: number;
}

/** A product, its weight in blocks of rows. */
interface Term extends Omit<Projection, "weight"> {
  readonly blocks: readonly Matrix[];
}

/** What becomes of the products of a dispatch. */
interface Behind {
  readonly factor: number;
  /** Of the first. */
  readonly addend?: Tensor;
  /** What the first is multiplied by. */
  readonly times?: Tensor;
  /** Whether there is one output, that of the first times the second. */
  readonly gated?: boolean;
}

/** Storage buffers that are left for products. */
function bindingsLeft(gpu: Gpu, given: readonly (Tensor | undefined)[]): number {
  const used = given.filter((tensor) => tensor !== undefined).length;
  return gpu.device.limits.maxStorageBuffersPerShaderStage - used;
}

/** Storage buffers that a product takes, its output aside. */
function bindingsOf({ blocks: [weight], bias }: Term): number {
  return (weight instanceof QuantizedMatrix ? 2 : 1) + (bias ? 1 : 0);
}

/** Products with an output each, as many in a dispatch as an adapter's bindings allow. */
function runEach(
  gpu: Gpu,
  shared: Shared,
  terms: readonly (Term & { readonly output: Tensor })[],
  { addend, factor }: Behind,
): void {
  const most = bindingsLeft(gpu, [shared.x, shared.normWeight, addend]);
  let together: typeof terms = [];
  const run = (some: typeof terms): void => {
    const outputs = some.map(({ output }) => output);
    const behind = { factor, addend: some[0] === terms[0] ? addend : undefined };
    runBlocks(gpu, shared, some, outputs, behind);
  };
  for (const term of terms) {
    const isCut = term.blocks.length > 1;
    const bindings = [...together, term].reduce((sum, each) => sum + bindingsOf(each) + 1, 0);
    if (together.length > 0 && (isCut || bindings > most)) {
      run(together);
      together = [];
    }
    if (isCut) run([term]);
    else together = [...together, term];
  }
  if (together.length > 0) run(together);
}

/**
 * One product times another: in a dispatch, or in two where that would have too many bindings, or where
 * their rows are cut in different places.
 */
function runGated(
  gpu: Gpu,
  shared: Shared,
  [first, second]: readonly Term[],
  { output, ...behind }: Behind & { readonly output: Tensor },
): void {
  const most = bindingsLeft(gpu, [shared.x, shared.normWeight, behind.addend, output]);
  const areAlike = first.blocks.length === 1 || `${first.rows}` === `${second.rows}`;
  if (areAlike && bindingsOf(first) + bindingsOf(second) <= most) {
    return runBlocks(gpu, shared, [first, second], [output], { ...behind, gated: true });
  }
  using times = gpu.empty(output.shape);
  runBlocks(gpu, shared, [second], [times], { factor: 1 });
  runBlocks(gpu, shared, [first], [output], { ...behind, times });
}

/** Products whose weights are in as many blocks of as many rows, and which are of the same rows where these are several. */
function runBlocks(
  gpu: Gpu,
  shared: Shared,
  terms: readonly Term[],
  outputs: readonly Tensor[],
  behind: Behind,
): void {
  const [{ blocks, rows = [0, Infinity] }] = terms;
  if (blocks.length === 1) {
    const weights = terms.map(({ blocks }) => blocks[0]);
    const ranges = terms.map(({ rows }, i) => rows ?? [0, weights[i].shape[0]] as const);
    return dispatch(gpu, shared, terms, outputs, { ...behind, weights, ranges });
  }
  let start = 0;
  blocks.forEach((block, index) => {
    const end = start + block.shape[0];
    const from = Math.max(start, rows[0]);
    const count = Math.min(end, rows[0] + rows[1]) - from;
    const ranges = terms.map(() => [from - start, count] as const);
    const cut = { from, first: from - rows[0] };
    const weights = terms.map(({ blocks }) => blocks[index]);
    if (count > 0) dispatch(gpu, shared, terms, outputs, { ...behind, weights, ranges, cut });
    start = end;
  });
}

function dispatch(
  gpu: Gpu,
  { x, normWeight, rows, reduction, epsilon }: Shared,
  terms: readonly Term[],
  outputs: readonly Tensor[],
  { weights, ranges, cut, factor, addend, times, gated = false }: Behind & {
    readonly weights: readonly Matrix[];
    /** The first of each weight's rows that are taken, and how many. */
    readonly ranges: readonly (readonly [first: number, count: number])[];
    /** Where the weights are blocks: of the whole, the row that is the first; and the column that it gives. */
    readonly cut?: { readonly from: number; readonly first: number };
  },
): void {
  const sizes = ranges.map(([, count]) => count);
  const typeB = weights[0].dtype;
  const tiling = vectorTiling(gpu, { transposeB: true, columns: sizes[0], reduction, typeB });
  const workgroups = outputs.reduce(
    (sum, _, i) => sum + Math.ceil(sizes[i] / (4 * tiling.GROUPS)),
    0,
  );
  const numbered = <Value>(name: string, values: readonly Value[]): Record<string, Value> =>
    Object.fromEntries(values.map((value, i) => [`${name}${i}`, value]));
  const bias = terms.find(({ bias }) => bias !== undefined)?.bias;
  gpu.dispatch(PROJECT, {
    constants: {
      ...tiling,
      ...numbered(
        "KIND",
        terms.map(({ activation }) =>
          activation === undefined ? NO_KIND : ACTIVATION_KINDS.indexOf(activation)
        ),
      ),
      WEIGHTS: outputs.length,
      GATED: gated,
      CUT: cut !== undefined,
      Stored: STORED[weights[0].dtype],
      BITS: quantizedBits(weights[0]),
      ElementBias: bias?.dtype ?? "f32",
    },
    uniform: {
      rows,
      vectors: reduction / 4,
      epsilon,
      factor,
      ...numbered("columns", Array.from({ length: MOST_WEIGHTS }, (_, i) => sizes[i] ?? 0)),
      ...numbered("from", Array.from({ length: MOST_WEIGHTS }, (_, i) => ranges[i]?.[0] ?? 0)),
      cutFrom: cut?.from ?? 0,
      first: cut?.first ?? 0,
      width: outputs[0].shape[outputs[0].shape.length - 1],
    },
    read: {
      x,
      normWeight,
      addend,
      times,
      ...numbered("weight", weights.map((each) => isTensor(each) ? each : each.values)),
      ...numbered("scales", weights.map((each) => isTensor(each) ? undefined : each.scales)),
      ...numbered("bias", terms.map(({ bias }) => bias)),
    },
    write: numbered("output", outputs),
    workgroups: rows * workgroups,
  });
}

function isTensor(weight: Matrix): weight is Tensor {
  return weight instanceof Tensor;
}
