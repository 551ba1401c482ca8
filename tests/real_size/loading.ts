/**
 * How long a checkpoint of 500 MB takes to load, beside copying its file to the GPU in pieces. Run by
 * `deno run -A tests/real_size/loading.ts [F32] [BF16] [F16] [f32] [f16] [int8] [int4]`, what is stored and
 * what it is loaded as; takes a minute. On a machine that does other work too, the seconds of the CPU say
 * more than those of the clock.
 *
 * @module
 */
import { join } from "@std/path";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { loadModel, WEIGHT_TYPES } from "../../models/mod.ts";
import { type StoredFloatName, writeLlama } from "./llama_file.ts";

const PIECE = 2 ** 22;
const ROUNDS = 3;

/** Reads a file piece by piece into one buffer of the GPU. */
async function copyFile(device: GPUDevice, path: string): Promise<void> {
  const { size } = await Deno.stat(path);
  const buffer = device.createBuffer({
    size: Math.ceil(size / PIECE) * PIECE,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  const piece = new Uint8Array(PIECE);
  using file = await Deno.open(path);
  for (let offset = 0; offset < size; offset += PIECE) {
    for (let filled = 0; filled < piece.length;) {
      const count = file.readSync(piece.subarray(filled));
      if (count === null) break;
      filled += count;
    }
    device.queue.writeBuffer(buffer, offset, piece);
    device.queue.submit([]);
  }
  await device.queue.onSubmittedWorkDone();
  buffer.destroy();
}

/** Milliseconds of the clock and of all CPUs. */
interface Times {
  readonly clock: number;
  readonly cpu: number;
}

/** Milliseconds that this process has computed; the system counts in hundredths of a second. */
function cpuTime(): number {
  const fields = Deno.readTextFileSync("/proc/self/stat").split(") ")[1].split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

async function timed(run: () => Promise<void>): Promise<Times> {
  const [clock, cpu] = [performance.now(), cpuTime()];
  await run();
  return { clock: performance.now() - clock, cpu: cpuTime() - cpu };
}

if (import.meta.main) {
  const gpu = await openGpu();
  const folder = await Deno.makeTempDir();
  const among = <Name extends string>(names: readonly Name[]): readonly Name[] => {
    const asked = names.filter((name) => Deno.args.includes(name));
    return asked.length > 0 ? asked : names;
  };
  const kinds = among<StoredFloatName>(["F32", "BF16", "F16"]);
  const types = among(WEIGHT_TYPES);
  try {
    for (const stored of kinds) {
      await writeLlama(folder, stored, 500e6);
      const path = join(folder, "model.safetensors");
      const times: Record<string, Times[]> = {};
      const measure = async (name: string, run: () => Promise<void>): Promise<void> => {
        gpu.trim();
        (times[name] ??= []).push(await timed(run));
      };
      for (let round = 0; round < ROUNDS; round++) {
        await measure("copied", () => copyFile(gpu.device, path));
        for (const dtype of types) {
          await measure(dtype, async () => {
            using _model = await loadModel(gpu, folder, { dtype });
            await gpu.sync();
          });
        }
      }
      const best = (name: string, which: keyof Times): number =>
        Math.min(...times[name].map((each) => each[which]));
      console.log(`${stored}, ${((await Deno.stat(path)).size / 1e6).toFixed(0)} MB`);
      for (const name of ["copied", ...types]) {
        const shown = (which: keyof Times): string =>
          `${best(name, which).toFixed(0)} ms (${
            (best(name, which) / best("copied", which)).toFixed(2)
          }×)`;
        console.log(`  ${name.padEnd(6)}  ${shown("clock")}, CPU ${shown("cpu")}`);
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
    await gpu[Symbol.asyncDispose]();
  }
}
