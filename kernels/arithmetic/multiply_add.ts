import { checkNames, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import { broadcastOf } from "./broadcast.ts";
import { workgroups } from "./flat.ts";
import { ARITHMETIC } from "./shaders.ts";

const MULTIPLY_ADD = ARITHMETIC.kernel("multiply_add");
/** Factors that the shader has bindings for. */
const MOST_FACTORS = 6;

/** What {@linkcode multiplyAdd} takes. */
export interface MultiplyAddInputs {
  /** `[...]`. */
  readonly x: Tensor;
  /** One or more; each has the shape of `x`, or one that repeats along it as `b` of {@linkcode add} does. */
  readonly factors: readonly Tensor[];
  /** The shape of `x`, or one that repeats along it. */
  readonly addend: Tensor;
}

/** What {@linkcode multiplyAdd} returns. */
export interface MultiplyAddOutputs extends Disposable {
  /** The shape of `x`, one for each factor. */
  readonly outputs: readonly Tensor[];
}

/**
 * `addend + x · factor` for each of several factors, up to six in a dispatch.
 *
 * ```ts
 * import { multiplyAdd, openGpu } from "@lengthwise/lengthwise/kernels";
 *
 * await using gpu = await openGpu();
 * using x = gpu.tensor([2, 2], [1, 2, 3, 4]);
 * using halves = gpu.tensor([1], [0.5]);
 * using byRow = gpu.tensor([2, 1], [0, 10]);
 * using made = multiplyAdd(gpu, { x, factors: [halves, byRow], addend: x });
 * console.log(await gpu.read(made.outputs)); // 1.5, 3, 4.5, 6, and 1, 2, 33, 44
 * ```
 *
 * @throws {RangeError} where a shape does not repeat along `x` in this way, or there is no factor.
 */
export function multiplyAdd(gpu: Gpu, inputs: MultiplyAddInputs): MultiplyAddOutputs {
  const op = "multiplyAdd";
  checkNames(op, inputs, ["x", "factors", "addend"]);
  const { x, factors, addend } = inputs;
  checkTensor(op, "x", x, x.shape);
  if (factors.length === 0) {
    throw new RangeError(`Cannot run ${op}() as there must be a factor or more: there is none`);
  }
  const repeats = (name: string, tensor: Tensor): { inner: number; extent: number } => {
    checkTensor(op, name, tensor, tensor.shape);
    return broadcastOf(op, name, x.shape, tensor.shape);
  };
  const ofFactors = factors.map((factor, i) => repeats(`factors[${i}]`, factor));
  const ofAddend = repeats("addend", addend);
  const outputs = factors.map(() => gpu.empty(x.shape));
  const bindings = gpu.device.limits.maxStorageBuffersPerShaderStage - 2; // of x and the addend
  const most = Math.max(1, Math.min(MOST_FACTORS, Math.floor(bindings / 2)));
  const vectors = Math.ceil(x.size / 4);
  for (let first = 0; first < factors.length; first += most) {
    const some = factors.slice(first, first + most);
    const numbered = <Value>(name: string, values: readonly Value[]): Record<string, Value> =>
      Object.fromEntries(values.map((value, i) => [`${name}${i}`, value]));
    const repeated = Array.from(
      { length: MOST_FACTORS },
      (_, i) => i < some.length ? ofFactors[first + i] : { inner: 1, extent: 1 },
    );
    gpu.dispatch(MULTIPLY_ADD, {
      constants: { FACTORS: some.length },
      uniform: {
        vectors,
        ...numbered("inner", [...repeated, ofAddend].map(({ inner }) => inner)),
        ...numbered("extent", [...repeated, ofAddend].map(({ extent }) => extent)),
      },
      read: { x, addend, ...numbered("factor", some) },
      write: numbered("output", outputs.slice(first, first + most)),
      workgroups: workgroups(vectors),
    });
  }
  return results({ outputs });
}
