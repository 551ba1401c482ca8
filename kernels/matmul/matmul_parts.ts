import { checkNames, checkRank, checkTensor, type Gpu, results, type Tensor } from "../gpu/mod.ts";
import { matmul, type Product, runProduct, tilingOf } from "./matmul.ts";

/** What {@linkcode matmulParts} returns. */
export interface MatmulParts extends Disposable {
  /** `[parts, M, N]`: their sum over the first axis is the product. */
  readonly parts: Tensor;
}

/** What {@linkcode matmulParts} takes. */
export interface MatmulPartsInputs {
  /** `[K, M]`, f32. */
  readonly a: Tensor;
  /** `[K, N]`, f32. */
  readonly b: Tensor;
}

/**
 * `aᵀ · b` as the parts of its sum: the gradient of a weight, summed over all tokens, of which
 * `sumParts()` adds several up in a dispatch. One part where the sum is not split.
 *
 * @throws {RangeError} where a shape or a data type does not fit.
 */
export function matmulParts(gpu: Gpu, inputs: MatmulPartsInputs): MatmulParts {
  const op = "matmulParts";
  checkNames(op, inputs, ["a", "b"]);
  const { a, b } = inputs;
  checkRank(op, "a", a, ["K", "M"]);
  checkTensor(op, "a", a, a.shape);
  const [reduction, rows] = a.shape;
  const columns = b.shape[1] ?? 0;
  checkTensor(op, "b", b, [reduction, columns]);
  const product: Product = {
    a,
    b,
    bias: undefined,
    addend: undefined,
    transposeA: true,
    transposeB: false,
    batches: 1,
    rows,
    columns,
    reduction,
    aStride: rows * reduction,
    bStride: 0,
    accumulate: false,
    cWidth: columns,
    cFirst: 0,
    inParts: true,
  };
  const { splits } = tilingOf(gpu, product, undefined);
  const isWhole = splits === 1 || rows * columns === 0;
  if (isWhole || rows % 4 > 0 || columns % 4 > 0) {
    using whole = matmul(gpu, inputs, { transposeA: true });
    return results({ parts: whole.output.reshape([1, rows, columns]) });
  }
  const parts = gpu.empty([splits, rows, columns]);
  runProduct(gpu, product, parts, undefined);
  return results({ parts });
}
