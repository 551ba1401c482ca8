import { sumRows } from "../common/sum_axis.ts";
import {
  checkNames,
  checkTensor,
  elementCount,
  type Gpu,
  results,
  type Tensor,
} from "../gpu/mod.ts";
import { ARITHMETIC } from "./shaders.ts";

const SUM_PARTS = ARITHMETIC.kernel("sum_parts");
/** Tensors that the shader has bindings for. */
const MOST_TENSORS = 6;
/** Parts that an invocation sums, one after another; more are summed in passes of their own. */
const MOST_PARTS = 128;

/** What {@linkcode sumParts} takes. */
export interface SumPartsInputs {
  /** Tensors of any shapes, `[count, ...]` each. */
  readonly parts: readonly Tensor[];
}

/** What {@linkcode sumParts} returns. */
export interface SumPartsOutputs extends Disposable {
  /** Their sums over the first axis, `[...]` each. */
  readonly sums: readonly Tensor[];
}

/**
 * Sums several tensors over their first axes, each in the order of its parts, in a few dispatches: the
 * gradients of a model's parameters, each of which is summed over blocks of tokens.
 *
 * @throws {RangeError} where a tensor is not f32 or has no axis.
 */
export function sumParts(gpu: Gpu, inputs: SumPartsInputs): SumPartsOutputs {
  const op = "sumParts";
  checkNames(op, inputs, ["parts"]);
  const { parts } = inputs;
  parts.forEach((tensor, i) => {
    checkTensor(op, `parts[${i}]`, tensor, tensor.shape);
    if (tensor.shape.length > 0) return;
    throw new RangeError(
      `Cannot run ${op}() as parts[${i}] must have shape [count, ...]: current shape is []`,
    );
  });
  const sums = parts.map((tensor): Tensor | undefined => {
    const [count, ...shape] = tensor.shape;
    if (count <= MOST_PARTS) return undefined;
    using rows = tensor.reshape([count, elementCount(shape)]);
    using sum = sumRows(gpu, rows);
    return sum.reshape(shape);
  });
  const left = parts.map((_, i) => i).filter((i) => sums[i] === undefined);
  const inFours = (i: number): boolean => elementCount(parts[i].shape.slice(1)) % 4 === 0;
  const bindings = gpu.device.limits.maxStorageBuffersPerShaderStage;
  const most = Math.max(1, Math.min(MOST_TENSORS, Math.floor(bindings / 2)));
  for (const fours of [true, false]) {
    const some = left.filter((i) => inFours(i) === fours);
    for (let first = 0; first < some.length; first += most) {
      const part = some.slice(first, first + most);
      const made = dispatch(gpu, part.map((i) => parts[i]), fours ? 4 : 1);
      part.forEach((i, at) => sums[i] = made[at]);
    }
  }
  return results({ sums: sums as Tensor[] });
}

function dispatch(gpu: Gpu, parts: readonly Tensor[], elements: 1 | 4): Tensor[] {
  const sums = parts.map(({ shape }) => gpu.empty(shape.slice(1)));
  const numbered = <Value>(name: string, values: readonly Value[]): Record<string, Value> =>
    Object.fromEntries(values.map((value, i) => [`${name}${i}`, value]));
  const padded = (name: string, of: (index: number) => number): Record<string, number> =>
    numbered(
      name,
      Array.from({ length: MOST_TENSORS }, (_, i) => i < parts.length ? of(i) : 0),
    );
  const all = sums.reduce((total, { size }) => total + size, 0) / elements;
  gpu.dispatch(SUM_PARTS, {
    constants: { TENSORS: parts.length, Element: elements === 4 ? "vec4f" : "f32" },
    uniform: {
      elements: all,
      ...padded("size", (i) => sums[i].size / elements),
      ...padded("count", (i) => parts[i].shape[0]),
    },
    read: numbered("parts", parts),
    write: numbered("sum", sums),
    workgroups: Math.ceil(all / 64),
  });
  return sums;
}
