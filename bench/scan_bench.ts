/**
 * The scans beside kernels that go token by token; how they grow with the length is in the tables of
 * `bench/table.ts`. Run by `deno bench -A bench/scan_bench.ts`.
 *
 * @module
 */
import { elementCount, openGpu, type Tensor } from "../kernels/gpu/mod.ts";
import {
  rgLru,
  scan,
  scanBackward,
  selectiveScan,
  selectiveScanBackward,
} from "../kernels/scan/mod.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { benchGroup } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const SCAN_RECURRENT = BENCH.kernel("scan_recurrent");
const SELECTIVE_SCAN_RECURRENT = BENCH.kernel("selective_scan_recurrent");
/** 256 channels of 16,384 steps fall out of a software adapter's cache, 64 do not. */
const CHANNELS = [64, 256];
const STATE = 16;
const LENGTHS = [1024, 4096, 16384];
/** Elements that a scan takes in an iteration, where one run has fewer. */
const ELEMENTS = 2 ** 22;

const gpu = await openGpu({ tuning: readTuning });
console.error(gpu.adapter.name);

function waves(shape: number[], low: number, high: number): Tensor {
  const middle = (low + high) / 2;
  const size = elementCount(shape);
  const values = Float32Array.from(
    { length: size },
    (_, i) => middle + Math.sin(i) * (high - middle),
  );
  return gpu.tensor(shape, values);
}

function dispose(tensors: object): void {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
}

/** By name; the first of a family is its baseline. */
function contenders(time: number, channels: number): Record<string, Record<string, () => void>> {
  const shape = [1, time, channels];
  const decay = waves(shape, 0.9, 1);
  const input = waves(shape, -1, 1);
  const { output } = scan(gpu, { decay, input });
  const decayParameter = waves([channels], -4, 0);
  const selective = {
    input,
    delta: waves(shape, 0, 0.1),
    a: waves([channels, STATE], -16, -1),
    b: waves([1, time, STATE], -1, 1),
    c: waves([1, time, STATE], -1, 1),
  };
  return {
    scan: {
      "token by token": () =>
        gpu.dispatch(SCAN_RECURRENT, {
          uniform: { batch: 1, time, channels },
          read: { decay, input },
          write: { output },
          workgroups: channels / 64,
        }),
      "scan": () => dispose(scan(gpu, { decay, input })),
      "scanBackward": () => dispose(scanBackward(gpu, { decay, output, outputGradient: input })),
      "rgLru": () =>
        dispose(rgLru(gpu, { input, recurrenceGate: decay, inputGate: input, decayParameter })),
    },
    "selective scan": {
      "token by token": () =>
        gpu.dispatch(SELECTIVE_SCAN_RECURRENT, {
          uniform: { time, channels },
          read: selective,
          write: { output },
          workgroups: channels / 64,
        }),
      "selectiveScan": () => dispose(selectiveScan(gpu, selective)),
      "selectiveScanBackward": () =>
        dispose(selectiveScanBackward(gpu, { ...selective, outputGradient: output })),
    },
  };
}

for (const [channels, time] of CHANNELS.flatMap((c) => LENGTHS.map((t) => [c, t]))) {
  for (const [family, kernels] of Object.entries(contenders(time, channels))) {
    const ops = Object.entries(kernels).map(([name, run]) => ({ name, run }));
    const runs = Math.max(1, ELEMENTS / (time * channels) / (family === "scan" ? 1 : STATE));
    benchGroup(gpu, `${family}, 1 × ${time} × ${channels}`, ops, { runs, iterations: 4 });
  }
}
