/**
 * Matrix products beside a plain kernel and the adapter's ceiling. Run by `deno bench -A bench/`.
 *
 * @module
 */
import { type Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { matmul } from "../kernels/matmul/mod.ts";
import { quantize, QuantizedMatrix, type QuantizedType } from "../kernels/storage/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { fmaCeiling } from "./ceilings.ts";
import { benchGroup, compare, type Contender } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const MATMUL_DOT = BENCH.kernel("matmul_dot");

const gpu = await openGpu({ tuning: readTuning });
const cube = [
  dotProducts(gpu, 512),
  product(gpu, "A B", 512, 512, 512),
  product(gpu, "A Bᵀ", 512, 512, 512),
  product(gpu, "Aᵀ B", 512, 512, 512),
  fmaCeiling(gpu, 2 * 512 ** 3),
];
/** A layer of a small model at 4096 tokens: forward, input gradient, weight gradient. */
const layer = [
  product(gpu, "A B", 4096, 256, 64),
  product(gpu, "A Bᵀ", 4096, 64, 256),
  product(gpu, "Aᵀ B", 64, 256, 4096),
  fmaCeiling(gpu, 2 * 4096 * 64 * 256),
];
const token = [
  product(gpu, "A B", 1, 2048, 2048),
  product(gpu, "A Bᵀ", 1, 2048, 2048),
  ...gpu.supportsF16
    ? [product(gpu, "A B", 1, 2048, 2048, "f16"), product(gpu, "A Bᵀ", 1, 2048, 2048, "f16")]
    : [],
  quantizedProduct(gpu, 1, 2048, 2048, "int8"),
  quantizedProduct(gpu, 1, 2048, 2048, "int4"),
];

console.error(gpu.adapter.name);
await printShares("512 × 512 × 512", cube);
await printShares("4096 tokens, 64 → 256", layer);
benchGroup(gpu, "512 × 512 × 512", cube, { iterations: 5 });
benchGroup(gpu, "4096 tokens, 64 → 256", layer, { runs: 4, iterations: 5 });
benchGroup(gpu, "1 token, 2048 → 2048", token, { runs: 8 });

/** Prints each contender's rate and its share of the last one's, the ceiling, all in one run. */
async function printShares(title: string, contenders: readonly Contender[]): Promise<void> {
  // A moment, so that the first figures are there soon; those of the benchmark come after.
  const times = await compare(gpu, contenders, { sampleMilliseconds: 30, rounds: 2 });
  const rates = contenders.map(({ flops = 0 }, index) => flops / times[index] / 1e6);
  console.error(title);
  for (const [index, { name }] of contenders.entries()) {
    const share = (100 * rates[index] / rates[rates.length - 1]).toFixed(0);
    console.error(
      `  ${name.padEnd(36)} ${rates[index].toFixed(1).padStart(8)} GFLOP/s ${share.padStart(4)}%`,
    );
  }
}

function product(
  gpu: Gpu,
  form: string,
  rows: number,
  columns: number,
  reduction: number,
  weights: "f32" | "f16" = "f32",
): Contender {
  const transposeA = form.startsWith("Aᵀ");
  const transposeB = form.endsWith("Bᵀ");
  const a = gpu.tensor(transposeA ? [reduction, rows] : [rows, reduction]);
  const b = gpu.tensor(
    transposeB ? [columns, reduction] : [reduction, columns],
    undefined,
    weights,
  );
  return {
    name: `matmul ${form}, ${rows} × ${columns} × ${reduction}${
      weights === "f16" ? ", B in f16" : ""
    }`,
    flops: 2 * rows * columns * reduction,
    run: () => matmul(gpu, { a, b }, { transposeA, transposeB }).output[Symbol.dispose](),
  };
}

function quantizedProduct(
  gpu: Gpu,
  rows: number,
  columns: number,
  reduction: number,
  dtype: QuantizedType,
): Contender {
  const a = gpu.tensor([rows, reduction]);
  const b = new QuantizedMatrix(gpu, [columns, reduction], dtype);
  using stored = gpu.tensor([columns * reduction], undefined, "u32");
  using flags = gpu.tensor([1], undefined, "u32");
  quantize(gpu, { stored, output: b, flags }, { from: "f32", rows: columns });
  return {
    name: `matmul A Bᵀ, ${rows} × ${columns} × ${reduction}, B in ${dtype}`,
    flops: 2 * rows * columns * reduction,
    run: () => matmul(gpu, { a, b }, { transposeB: true }).output[Symbol.dispose](),
  };
}

function dotProducts(gpu: Gpu, extent: number): Contender {
  const a = gpu.tensor([extent, extent]);
  const b = gpu.tensor([extent, extent]);
  const c = gpu.empty([extent, extent]);
  return {
    name: "a dot product an invocation",
    flops: 2 * extent ** 3,
    run: () =>
      gpu.dispatch(MATMUL_DOT, {
        uniform: { rows: extent, columns: extent, reduction: extent },
        read: { a, b },
        write: { c },
        workgroups: extent ** 2 / 64,
      }),
  };
}
