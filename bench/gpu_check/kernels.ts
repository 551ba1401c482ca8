/**
 * The kernels at real sizes, beside the adapter's ceilings and token by token.
 *
 * @module
 */
import { MeasuredInputs } from "../../kernels/common/measured.ts";
import {
  deltaRule,
  deltaRuleRecurrent,
  flashAttention,
  flashAttentionBackward,
  type Gpu,
  linearAttention,
  linearAttentionRecurrent,
  matmul,
  scan,
  selectiveScan,
  Tensor,
} from "../../kernels/mod.ts";
import type { Ceilings } from "../ceilings.ts";
import { measure } from "../measure.ts";
import { BENCH } from "../shaders.ts";
import { type Budget, figure, type Part, part, percent } from "./result.ts";

const ATTENTION_PLAIN = BENCH.kernel("attention_plain");
const SCAN_RECURRENT = BENCH.kernel("scan_recurrent");
const DIM = 64;
const LENGTHS = [1024, 4096, 16_384, 65_536];
/** Rates from which an adapter is given the sizes of a large one. */
const LARGE_FLOPS = 1e12;

/** Work at a size. */
interface Work {
  /** Operations, those of the recurrence or the sum as it is printed. */
  readonly flops: number;
  /** Of inputs and outputs. */
  readonly bytes: number;
  readonly run: () => object | void;
  /** The same without the art. */
  readonly plain?: () => object | void;
}

/** A kernel at any size. */
interface Growing {
  readonly name: string;
  readonly sizes: readonly number[];
  /** What the time grows with. */
  readonly power: number;
  readonly prepare: (gpu: Gpu, make: MeasuredInputs, size: number) => Work;
}

/** Measures every kernel, from small sizes on as long as the next one fits in the time. */
export async function checkKernels(gpu: Gpu, ceilings: Ceilings, budget: Budget): Promise<Part> {
  const found = part("Kernels");
  const isLarge = ceilings.flopsPerSecond > LARGE_FLOPS;
  const heads = isLarge ? 16 : 4;
  found.notes.push(
    `Heads of ${DIM}, ${heads} of them; scans of ${
      heads * DIM
    } channels. "token by token" is how many times as long the plain kernel takes: a stored row of scores (attention), one step after the other (the others), a dot product an invocation (matmul).`,
  );
  if (!isLarge) found.notes.push("A slow adapter: sizes begin at a quarter.");
  const kernels = growing(heads).map((kernel) =>
    isLarge ? kernel : { ...kernel, sizes: [kernel.sizes[0] / 4, ...kernel.sizes] }
  );
  for (const [i, kernel] of kernels.entries()) {
    await measureSizes(gpu, kernel, ceilings, budget.share(1 / (kernels.length - i)), found);
  }
  return found;
}

async function measureSizes(
  gpu: Gpu,
  { name, sizes, power, prepare }: Growing,
  { flopsPerSecond, bytesPerSecond }: Ceilings,
  budget: Budget,
  found: Part,
): Promise<void> {
  let last: { size: number; whole: number } | undefined;
  for (const size of sizes) {
    const expected = last ? last.whole * (size / last.size) ** power : 0;
    if (expected > budget.left || budget.left === 0) {
      found.notes.push(`${name}: stopped before ${size} for lack of time.`);
      return;
    }
    const start = performance.now();
    try {
      using inputs = new MeasuredInputs(gpu);
      const { flops, bytes, run, plain } = prepare(gpu, inputs, size);
      const time = await milliseconds(gpu, run);
      const spent = performance.now() - start;
      // A plain kernel is rarely more than ten times as slow.
      const plainTime = plain && 50 * time < budget.left && spent < budget.left
        ? await milliseconds(gpu, plain)
        : undefined;
      found.lines.push({
        kernel: name,
        size,
        ms: figure(time),
        "GFLOP/s": figure(flops / time / 1e6),
        "of FMA rate": percent(flops / time * 1000 / flopsPerSecond),
        "of copy rate": percent(bytes / time * 1000 / bytesPerSecond),
        "token by token": plainTime === undefined ? "" : `${figure(plainTime / time)}×`,
      });
    } catch (error) {
      found.notes.push(`${name}, ${size}: ${(error as Error).message.split("\n")[0]}`);
      return;
    } finally {
      gpu.trim();
    }
    last = { size, whole: performance.now() - start };
  }
}

async function milliseconds(gpu: Gpu, run: () => object | void): Promise<number> {
  const time = await measure(gpu, () => free(run()), { sampleMilliseconds: 30, samples: 3 });
  await gpu.sync();
  return time;
}

function free(outputs: object | void): void {
  for (const value of Object.values(outputs ?? {})) {
    if (value instanceof Tensor) value[Symbol.dispose]();
  }
}

function growing(heads: number): Growing[] {
  const rows = (make: MeasuredInputs, time: number): Record<"query" | "key" | "value", Tensor> => {
    const unit = Math.sqrt(3 / DIM);
    const shape = [1, time, heads, DIM];
    return {
      query: make.tensor(shape),
      key: make.tensor(shape, -unit, unit),
      value: make.tensor(shape),
    };
  };
  const pairs = (time: number): number => heads * time * (time + 1) / 2;
  const rowBytes = (time: number): number => 4 * time * heads * DIM;
  const product = (dtype: "f32" | "f16"): Growing => ({
    name: `matmul, ${dtype}`,
    sizes: [512, 1024, 2048, 4096, 8192],
    power: 3,
    prepare(gpu, make, size): Work {
      const a = make.tensor([size, size], -1, 1, dtype);
      const b = make.tensor([size, size], -1, 1, dtype);
      const bytes = a.bytes + b.bytes + 4 * size ** 2;
      const run = (): object => matmul(gpu, { a, b }, { transposeB: true, outputType: "f32" });
      return { flops: 2 * size ** 3, bytes, run };
    },
  });
  const attention = (dtype: "f32" | "f16"): Growing => ({
    name: `attention, causal, ${dtype}`,
    sizes: LENGTHS,
    power: 2,
    prepare(gpu, make, time): Work {
      const shape = [1, time, heads, DIM];
      const tensor = (): Tensor => make.tensor(shape, -1, 1, dtype);
      const inputs = { query: tensor(), key: tensor(), value: tensor() };
      const run = (): object => flashAttention(gpu, inputs);
      const work = { flops: 4 * DIM * pairs(time), bytes: 4 * inputs.query.bytes, run };
      if (dtype === "f16" || 4 * heads * time ** 2 > gpu.bindingLimit) return work;
      const scores = make.keep(gpu.empty([heads, time, time]));
      const y = make.keep(gpu.empty(shape));
      const plain = (): void =>
        gpu.dispatch(ATTENTION_PLAIN, {
          constants: { SCALE: 1 / Math.sqrt(DIM) },
          uniform: { time, heads, quads: DIM / 4 },
          read: inputs,
          write: { scores, y },
          workgroups: [Math.ceil(time / 64), heads],
        });
      return { ...work, plain };
    },
  });
  const half = (kernel: (dtype: "f32" | "f16") => Growing): Growing => ({
    ...kernel("f16"),
    prepare(gpu, make, size): Work {
      if (!gpu.supportsF16) throw new Error("the adapter has no shader-f16");
      return kernel("f16").prepare(gpu, make, size);
    },
  });
  const linear = (name: string, decay: "head" | "key"): Growing => ({
    name: `linear attention, ${name}`,
    sizes: LENGTHS,
    power: 1,
    prepare(gpu, make, time): Work {
      const logDecay = make.tensor([1, time, heads, ...decay === "key" ? [DIM] : []], -0.1, 0);
      const inputs = { ...rows(make, time), logDecay };
      return {
        flops: 5 * time * heads * DIM * DIM,
        bytes: 4 * rowBytes(time) + logDecay.bytes,
        run: () => linearAttention(gpu, inputs),
        plain: () => linearAttentionRecurrent(gpu, inputs),
      };
    },
  });
  return [
    product("f32"),
    half(product),
    attention("f32"),
    half(attention),
    {
      name: "attention, causal, backward",
      sizes: LENGTHS,
      power: 2,
      prepare(gpu, make, time): Work {
        const inputs = rows(make, time);
        const { output, logSumExp } = make.keep(flashAttention(gpu, inputs));
        const given = { ...inputs, output, logSumExp, outputGradient: inputs.value };
        return {
          flops: 14 * DIM * pairs(time),
          bytes: 8 * rowBytes(time),
          run: () => flashAttentionBackward(gpu, given),
        };
      },
    },
    linear("a decay per head", "head"),
    linear("a decay per key", "key"),
    {
      name: "delta rule, a decay per head",
      sizes: LENGTHS,
      power: 1,
      prepare(gpu, make, time): Work {
        const inputs = {
          ...rows(make, time),
          beta: make.tensor([1, time, heads], 0, 1),
          logDecay: make.tensor([1, time, heads], -0.1, 0),
        };
        return {
          flops: 7 * time * heads * DIM * DIM,
          bytes: 4 * rowBytes(time),
          run: () => deltaRule(gpu, inputs),
          plain: () => deltaRuleRecurrent(gpu, inputs),
        };
      },
    },
    {
      name: "scan",
      sizes: LENGTHS,
      power: 1,
      prepare(gpu, make, time): Work {
        const channels = heads * DIM;
        const shape = [1, time, channels];
        const [decay, input] = [make.tensor(shape, 0.5, 1), make.tensor(shape)];
        const output = make.keep(gpu.empty(shape));
        return {
          flops: 2 * time * channels,
          bytes: 3 * input.bytes,
          run: () => scan(gpu, { decay, input }),
          plain: () =>
            gpu.dispatch(SCAN_RECURRENT, {
              uniform: { batch: 1, time, channels },
              read: { decay, input },
              write: { output },
              workgroups: channels / 64,
            }),
        };
      },
    },
    {
      name: "selective scan, 16 states",
      sizes: LENGTHS,
      power: 1,
      prepare(gpu, make, time): Work {
        const channels = heads * DIM;
        const inputs = {
          input: make.tensor([1, time, channels]),
          delta: make.tensor([1, time, channels], 0, 0.1),
          a: make.tensor([channels, 16], -8, -1),
          b: make.tensor([1, time, 16]),
          c: make.tensor([1, time, 16]),
        };
        return {
          flops: 7 * 16 * time * channels,
          bytes: 3 * inputs.input.bytes,
          run: () => selectiveScan(gpu, inputs),
        };
      },
    },
  ];
}
