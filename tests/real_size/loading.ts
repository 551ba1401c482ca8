/**
 * How long a checkpoint of 500 MB takes to load, beside copying its file to the GPU in pieces, and by how
 * much the process grows. Run by `deno run -A tests/real_size/loading.ts`; takes a minute.
 *
 * @module
 */
import { join } from "@std/path";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { loadModel, WEIGHT_TYPES } from "../../models/mod.ts";
import { type StoredFloatName, writeLlama } from "./llama_file.ts";

const PIECE = 2 ** 22;
const ROUNDS = 3;

/** Reads a file piece by piece into one buffer of the GPU; returns the milliseconds. */
async function copyFile(device: GPUDevice, path: string): Promise<number> {
  const { size } = await Deno.stat(path);
  const buffer = device.createBuffer({
    size: Math.ceil(size / PIECE) * PIECE,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  const piece = new Uint8Array(PIECE);
  const start = performance.now();
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
  const time = performance.now() - start;
  buffer.destroy();
  return time;
}

if (import.meta.main) {
  const gpu = await openGpu();
  const folder = await Deno.makeTempDir();
  try {
    for (const stored of ["F32", "BF16", "F16"] as const satisfies StoredFloatName[]) {
      await writeLlama(folder, stored, 500e6);
      const path = join(folder, "model.safetensors");
      const times: Record<string, number[]> = {};
      for (let round = 0; round <= ROUNDS; round++) {
        const measure = (name: string, time: number): void => {
          if (round > 0) (times[name] ??= []).push(time);
        };
        measure("copy", await copyFile(gpu.device, path));
        for (const dtype of WEIGHT_TYPES) {
          gpu.trim();
          const start = performance.now();
          using _model = await loadModel(gpu, folder, { dtype });
          await gpu.sync();
          measure(dtype, performance.now() - start);
        }
      }
      const best = (name: string): number => Math.min(...times[name]);
      const { size } = await Deno.stat(path);
      console.log(
        `${stored}, ${(size / 1e6).toFixed(0)} MB: copied in ${
          best("copy").toFixed(0)
        } ms; loaded in ${
          WEIGHT_TYPES.map((dtype) =>
            `${dtype} ${best(dtype).toFixed(0)} ms (${(best(dtype) / best("copy")).toFixed(2)}×)`
          ).join(", ")
        }`,
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
    await gpu[Symbol.asyncDispose]();
  }
}
