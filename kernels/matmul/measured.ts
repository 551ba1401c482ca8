import { type Measured, type MeasuredInputs, measuredOn } from "../common/measured.ts";
import { type Matrix, QuantizedMatrix } from "../common/quantized_matrix.ts";
import type { FloatType, Gpu } from "../gpu/mod.ts";
import { matmul } from "./matmul.ts";
import { PRODUCT, VECTOR } from "./tiling.ts";

/** What the family's tunables are measured on. */
export const MATMUL_MEASURED: readonly Measured[] = [
  measuredOn(PRODUCT, (gpu, problem, make) => {
    const { batches, rows, columns, reduction, transposeA, transposeB, sharedB } = problem;
    const axes = batches === 1 ? [] : [batches];
    const matrixA = transposeA ? [reduction, rows] : [rows, reduction];
    const a = make.tensor([...axes, ...matrixA], -1, 1, problem.typeA as FloatType);
    const matrixB = transposeB ? [columns, reduction] : [reduction, columns];
    const b = stored(gpu, sharedB ? matrixB : [...axes, ...matrixB], problem.typeB, make);
    return () => matmul(gpu, { a, b }, { transposeA, transposeB, outputType: "f32" });
  }),
  measuredOn(VECTOR, (gpu, { transposeB, columns, reduction, typeB }, make) => {
    const a = make.tensor([1, reduction]);
    const b = stored(
      gpu,
      transposeB ? [columns, reduction] : [reduction, columns],
      typeB,
      make,
    );
    return () => matmul(gpu, { a, b }, { transposeB, algorithm: "vector" });
  }),
];

function stored(gpu: Gpu, shape: number[], type: string, make: MeasuredInputs): Matrix {
  if (type === "f32" || type === "f16") return make.tensor(shape, -1, 1, type);
  const matrix = make.keep(new QuantizedMatrix(gpu, shape, type as QuantizedMatrix["dtype"]));
  make.fill(matrix.values, Uint32Array.from({ length: 1021 }, (_, i) => Math.imul(i, 2654435761)));
  make.fill(matrix.scales, Uint32Array.of(0x3c003c00)); // 1 and 1
  return matrix;
}
