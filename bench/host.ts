/**
 * What a generated token and a training step cost the host and the GPU:
 * `deno run -A bench/host.ts [FOLDER] [NAME…]` prints a table as bench/README.md has it, of the
 * architectures named or of four. With the folder of another checkout, one of an earlier commit, its
 * code takes turns with this one's.
 *
 * @module
 */
import { toFileUrl } from "@std/path";
import { type Code, load } from "./checkout.ts";
import type { DataType, Gpu, Tensor } from "../kernels/gpu/mod.ts";
import type { Recipe } from "../tasks/training/recipe.ts";

const ARCHITECTURES = ["transformer", "mamba2", "gla", "gated-deltanet"];
/** Of the models that generate; many, so that the head counts little. */
const LAYERS = 6;
const TOKENS = 96;
/** Training steps at a time. */
const STEPS = 6;
const ROUNDS = 4;

/** What a piece of work costs. */
interface Cost {
  /** Time of the thread that queues, in milliseconds: the least of all rounds. */
  host: number;
  /** Kernels. */
  dispatches: number;
  /** The sum of the kernels' times in milliseconds: the least of all rounds. */
  gpu: number;
}

/** POSIX's clock of the time that a thread has computed, on Linux. */
const CLOCK_THREAD_CPUTIME_ID = 3;
const LIBC = Deno.build.os === "linux"
  ? Deno.dlopen("libc.so.6", { clock_gettime: { parameters: ["i32", "buffer"], result: "i32" } })
  : undefined;
const TIME = new BigInt64Array(2); // seconds, nanoseconds

/** Milliseconds that this thread has computed: what others do on the machine does not count. */
function threadTime(): number {
  if (LIBC === undefined) return performance.now();
  // What /proc has is brought up to date a few hundred times a second, too seldom for a training step.
  LIBC.symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, TIME);
  return Number(TIME[0]) * 1e3 + Number(TIME[1]) / 1e6;
}

/** Work that is measured. */
interface Work {
  /** What comes before it, and is not counted. */
  prepare(): Promise<void>;
  /** Queues it; tells how long the thread took for that, in milliseconds. */
  run(): Promise<number>;
}

/** Tokens after a short prompt: what is not reading, and reading them back aside. */
function generation({ gpu, models: { architecture, Model } }: Code, name: string): Work {
  const configuration = architecture(name, { vocabulary: 64, width: 64, layers: LAYERS });
  const model = new Model(gpu, configuration, { seed: 1 });
  const prompt = Uint32Array.from({ length: 40 }, (_, i) => i % 64);
  const read = gpu.read.bind(gpu);
  let from: ReturnType<typeof model.prefill>;
  return {
    async prepare(): Promise<void> {
      from = model.prefill(prompt);
      await gpu.sync();
    },
    async run(): Promise<number> {
      let waited = 0;
      gpu.read = async <Type extends DataType>(tensors: readonly Tensor<Type>[]) => {
        const start = threadTime();
        try {
          return await read(tensors);
        } finally {
          waited += threadTime() - start;
        }
      };
      const start = threadTime();
      await model.continueFrom(from, { maxTokens: TOKENS });
      gpu.read = read;
      return threadTime() - start - waited;
    },
  };
}

/** A training step of a model of two layers, on 64 sequences of 32 tokens. */
async function trainingStep(code: Code, name: string): Promise<Work> {
  const { gpu, models, registry, batches, training } = code;
  const tasks = [await registry.createTask("mqar", registry.smallLayout("mqar"))];
  const recipe: Recipe = {
    name,
    model: models.architecture(name, { vocabulary: 64, width: 32 }),
    tasks: [{ name: "mqar", options: registry.smallLayout("mqar") }],
    length: 32,
    batch: 64,
    learningRate: 1e-3,
    warmupSteps: 10,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 100,
    seed: 0,
  };
  const trainer = new training.Trainer(gpu, recipe);
  const batch = Array.from({ length: 40 }, (_, step) => batches.trainingBatch(recipe, tasks, step))
    .find(({ time }) => time === 32)!;
  let step = 0;
  return {
    prepare: () => gpu.sync(),
    async run(): Promise<number> {
      let host = 0;
      for (let i = 0; i < STEPS; i++) {
        const start = threadTime();
        for (const { losses, correct } of trainer.step(batch, step++, 1e-3)) {
          losses[Symbol.dispose]();
          correct[Symbol.dispose]();
        }
        host += threadTime() - start;
        await gpu.sync();
      }
      return host;
    },
  };
}

/** The costs of the same work of several checkouts, which take turns. */
async function measured(codes: readonly Code[], works: readonly Work[]): Promise<Cost[]> {
  const costs = works.map((): Cost => ({ host: Infinity, dispatches: 0, gpu: Infinity }));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, work] of works.entries()) {
      const { gpu } = codes[index];
      await work.prepare();
      const host = await work.run();
      if (round === 0) continue; // compiles the kernels
      await work.prepare();
      gpu.startProfile();
      await work.run();
      const times = await gpu.stopProfile();
      const cost = costs[index];
      cost.host = Math.min(cost.host, host);
      cost.dispatches = times.reduce((sum, { dispatches }) => sum + dispatches, 0);
      cost.gpu = Math.min(cost.gpu, times.reduce((sum, time) => sum + time.milliseconds, 0));
    }
  }
  return costs;
}

function row(name: string, costs: readonly Cost[], parts: number): string {
  const cells = [
    costs.map(({ host }) => (1000 * host / parts).toFixed(parts === STEPS ? 0 : 1)),
    costs.map(({ dispatches }) => (dispatches / parts).toFixed(parts === STEPS ? 0 : 1)),
    costs.map(({ gpu }) => (gpu / parts).toFixed(parts === STEPS ? 1 : 3)),
  ];
  return `| ${[name, ...cells.map((figures) => figures.join(" → "))].join(" | ")} |`;
}

/** Milliseconds of a dispatch that WebGPU alone takes, bind groups and pipelines being ready. */
function rawDispatch({ device }: Gpu): number {
  const code = `@group(0) @binding(0) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1) fn main() { y[0] += 1u; }`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  let least = Infinity;
  for (let round = 0; round < 40; round++) {
    const start = threadTime();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    for (let i = 0; i < 64; i++) {
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
    least = Math.min(least, (threadTime() - start) / 64);
  }
  return least;
}

const isFolder = (path: string): boolean => path.includes("/") || path === ".";
const folder = Deno.args.find(isFolder);
const named = Deno.args.filter((argument) => !isFolder(argument));
const names = named.length > 0 ? named : ARCHITECTURES;
const codes = [await load(new URL("../", import.meta.url))];
if (folder !== undefined) codes.unshift(await load(toFileUrl(`${Deno.realPathSync(folder)}/`)));
const raw = rawDispatch(codes[codes.length - 1].gpu);
console.log(`A dispatch of WebGPU alone takes the host ${(1000 * raw).toFixed(1)} µs here.\n`);
console.log("| a generated token, per layer | host, µs | dispatches | GPU, ms |");
console.log("| :-- | --: | --: | --: |");
for (const name of names) {
  const costs = await measured(codes, codes.map((code) => generation(code, name)));
  console.log(row(name, costs, LAYERS * TOKENS));
}
console.log("\n| a training step, 2 layers | host, µs | dispatches | GPU, ms |");
console.log("| :-- | --: | --: | --: |");
for (const name of names) {
  const works = await Promise.all(codes.map((code) => trainingStep(code, name)));
  console.log(row(name, await measured(codes, works), STEPS));
}
for (const { gpu } of codes) await gpu[Symbol.asyncDispose]();
