/**
 * What an adapter can do at most: the rates that kernels are held against.
 *
 * @module
 */
import { type CopyWork, copyWork, type Gpu, type Tensor } from "../kernels/gpu/mod.ts";
import { compare, type Contender } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const FMA_CHAIN = BENCH.kernel("fma_chain");
/** Chains of an invocation of `fma_chain`, and steps of an iteration. */
const CHAINS = 12;
const STEPS_PER_ITERATION = 16;
const FACTOR = 0.999;
const ADDEND = 0.5;

/** The highest rates measured on an adapter. */
export interface Ceilings {
  /** Of multiplications and additions in f32, a second. */
  readonly flopsPerSecond: number;
  /** Read and written by a copy, a second. */
  readonly bytesPerSecond: number;
}

/** Invocations that keep an adapter busy. */
function busyInvocations(gpu: Gpu): number {
  return gpu.adapter.software ? 4096 : 2 ** 18;
}

/** Work that is multiplications and additions alone. */
export interface FmaCeiling extends Contender {
  /** Operations of a run. */
  readonly flops: number;
  /** Sums of the chains, which say that the work was done: `[invocations, 4]`. The caller's. */
  readonly sums: Tensor;
  /** Chains of an invocation, which start at (invocation % 1024) + chain. */
  readonly chains: number;
  /** Steps x = x * factor + addend of a chain. */
  readonly steps: number;
  /** What a step multiplies by. */
  readonly factor: number;
  /** What a step adds. */
  readonly addend: number;
}

/** Makes work that does about `flops` operations and reads nothing. */
export function fmaCeiling(gpu: Gpu, flops: number): FmaCeiling {
  const invocations = busyInvocations(gpu);
  const iterations = Math.max(
    1,
    Math.round(flops / (2 * CHAINS * STEPS_PER_ITERATION * invocations)),
  );
  const steps = iterations * STEPS_PER_ITERATION;
  const sums = gpu.empty([invocations, 4]);
  return {
    name: "multiplications and additions alone",
    flops: 2 * CHAINS * steps * invocations,
    sums,
    chains: CHAINS,
    steps,
    factor: FACTOR,
    addend: ADDEND,
    run: () =>
      gpu.dispatch(FMA_CHAIN, {
        constants: { FACTOR, ADDEND },
        uniform: { iterations },
        write: { sums },
        workgroups: invocations / 64,
      }),
  };
}

/** Work that is reading and writing alone. */
export interface CopyCeiling extends Contender, CopyWork {
  /** Queues a copy. */
  readonly run: () => void;
}

/** Makes work that copies 32 MB. */
export function copyCeiling(gpu: Gpu): CopyCeiling {
  return { name: "reading and writing alone", ...copyWork(gpu) };
}

/** Measures both ceilings of an adapter, which takes about a second and 64 MB of its memory. */
export async function measureCeilings(gpu: Gpu): Promise<Ceilings> {
  const chain = fmaCeiling(gpu, gpu.adapter.software ? 2 ** 28 : 2 ** 35);
  const copy = copyCeiling(gpu);
  const milliseconds = await compare(gpu, [chain, copy]);
  for (const tensor of [chain.sums, ...copy.tensors]) tensor[Symbol.dispose]();
  return {
    flopsPerSecond: chain.flops / milliseconds[0] * 1000,
    bytesPerSecond: copy.bytes / milliseconds[1] * 1000,
  };
}
