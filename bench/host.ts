/**
 * What a generated token, a training step and prompts that are scored cost the host and the GPU:
 * `deno run -A bench/host.ts [FOLDER] [NAME…]` prints tables as bench/README.md has them, of the
 * architectures named or of all. With the folder of another checkout, one of an earlier commit, its
 * code takes turns with this one's. `bench/table.ts host FOLDER` writes them there.
 *
 * @module
 */
import { toFileUrl } from "@std/path";
import { type Code, load } from "./checkout.ts";
import { ARCHITECTURES } from "../models/mod.ts";
import type { Gpu } from "../kernels/gpu/mod.ts";
import { threadTime } from "./thread_time.ts";
import { generation, LAYERS, profile, scoring, trainingSteps, type Work } from "./work.ts";

/** Tokens where they are recorded once, and where none is like the first. */
const TOKENS = { recorded: 96, unrecorded: 24 };
const ROUNDS = 3;
/** Of training steps, one a round: of the first two one is not recorded, and one is. */
const STEPS = 16;
/** Dispatches of a submit where they alone are measured: as many as one of a replay has. */
const DISPATCHES = 256;

/** What a part of some work costs. */
interface Cost {
  /** Time of the thread that queues, in milliseconds: the least of all rounds, the first of which compiles. */
  readonly host: number;
  /** Kernels. */
  readonly dispatches: number;
  /** The sum of the kernels' times in milliseconds. */
  readonly gpu: number;
}

/** A table: its header, and its rows as they are measured. */
export interface HostTable {
  /** The first column is words, the others are figures. */
  readonly header: readonly string[];
  /** Cells. */
  readonly rows: AsyncIterable<readonly string[]>;
}

/** Opens this checkout and, where its folder is given, another one before it. */
export async function openCheckouts(folder: string | undefined): Promise<Code[]> {
  const here = await load(new URL("../", import.meta.url));
  if (folder === undefined) return [here];
  return [await load(toFileUrl(`${Deno.realPathSync(folder)}/`)), here];
}

/** The tables of checkouts, the last of which is this one. */
export function hostTables(codes: readonly Code[], names: readonly string[]): HostTable[] {
  return [
    { header: ["a dispatch", "host, µs"], rows: dispatchRows(codes[codes.length - 1].gpu) },
    {
      header: ["a generated token, per layer", "host, µs", "dispatches", "GPU, ms"],
      rows: rowsOf(
        codes,
        names,
        { per: LAYERS, digits: [1, 1, 3], rounds: ROUNDS },
        async (code, name) => {
          const tokens = "record" in code.gpu ? TOKENS.recorded : TOKENS.unrecorded;
          return await Promise.resolve(generation(code, name, tokens));
        },
      ),
    },
    {
      header: ["a training step", "host, µs", "dispatches", "GPU, ms"],
      rows: rowsOf(
        codes,
        names,
        { per: 1, digits: [0, 0, 1], rounds: STEPS },
        (code, name) => trainingSteps(code, name, 1),
      ),
    },
    {
      header: ["prompts scored again", "host, µs", "dispatches", "GPU, ms"],
      rows: rowsOf(
        codes,
        names,
        { per: 1, digits: [0, 0, 1], rounds: ROUNDS },
        async (code, name) => {
          return await Promise.resolve(scoring(code, name));
        },
      ),
    },
  ];
}

/** A row for each architecture: each checkout's figures. */
async function* rowsOf(
  codes: readonly Code[],
  names: readonly string[],
  { per, digits, rounds }: {
    readonly per: number;
    readonly digits: readonly [number, number, number];
    readonly rounds: number;
  },
  workOf: (code: Code, name: string) => Promise<Work>,
): AsyncGenerator<string[]> {
  for (const name of names) {
    using scope = new DisposableStack();
    const works = await Promise.all(codes.map((code) => workOf(code, name)));
    for (const work of works) scope.use(work);
    const costs = await measured(codes, works, rounds);
    const cell = (of: (cost: Cost) => number, digits: number): string =>
      costs.map((cost) => (of(cost) / per).toFixed(digits)).join(" → ");
    yield [
      name,
      cell(({ host }) => 1000 * host, digits[0]),
      cell(({ dispatches }) => dispatches, digits[1]),
      cell(({ gpu }) => gpu, digits[2]),
    ];
  }
}

/** The costs of the same work of several checkouts, which take turns. */
async function measured(
  codes: readonly Code[],
  works: readonly Work[],
  rounds: number,
): Promise<Cost[]> {
  const hosts = works.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    for (const [index, work] of works.entries()) {
      await work.prepare();
      hosts[index] = Math.min(hosts[index], await work.run() / work.parts);
    }
  }
  const costs: Cost[] = [];
  for (const [index, work] of works.entries()) {
    costs.push({ host: hosts[index], ...await profile(codes[index], work) });
  }
  return costs;
}

/** What the host pays for a dispatch in three ways. */
async function* dispatchRows(gpu: Gpu): AsyncGenerator<string[]> {
  const { add } = await import("../kernels/arithmetic/mod.ts");
  using a = gpu.tensor([4]);
  const queue = (): void => {
    for (let i = 0; i < DISPATCHES; i++) add(gpu, { a, b: a }).output[Symbol.dispose]();
  };
  using recording = gpu.record(queue);
  const ways = {
    "WebGPU alone": rawDispatches(gpu),
    "replayed": () => recording.replay(),
    "queued anew": queue,
  };
  for (const [name, run] of Object.entries(ways)) {
    let least = Infinity;
    for (let round = 0; round < 40; round++) {
      await gpu.sync();
      const start = threadTime();
      run();
      gpu.flush();
      least = Math.min(least, (threadTime() - start) / DISPATCHES);
    }
    yield [name, (1000 * least).toFixed(1)];
  }
}

/** Dispatches of WebGPU alone, bind groups and pipelines being ready. */
function rawDispatches({ device }: Gpu): () => void {
  const code = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn main() { y[0] += 1u; }`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  return () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (let i = 0; i < DISPATCHES; i++) {
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
}

if (import.meta.main) {
  const isFolder = (path: string): boolean => path.includes("/") || path === ".";
  const named = Deno.args.filter((argument) => !isFolder(argument));
  const codes = await openCheckouts(Deno.args.find(isFolder));
  for (
    const { header, rows } of hostTables(
      codes,
      named.length > 0 ? named : Object.keys(ARCHITECTURES),
    )
  ) {
    console.log(`| ${header.join(" | ")} |`);
    console.log(`| ${header.map((_, i) => i === 0 ? ":--" : "--:").join(" | ")} |`);
    for await (const cells of rows) console.log(`| ${cells.join(" | ")} |`);
    console.log();
  }
  for (const { gpu } of codes) await gpu[Symbol.asyncDispose]();
}
