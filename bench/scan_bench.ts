/**
 * The scans beside kernels that go token by token. Run by `deno bench -A bench/scan_bench.ts`; it prints
 * the time of each length first, with the exponent of time in length fitted to them. An iteration of a
 * benchmark is as many runs as its name says and one wait, of which Deno's 11 ms are a part.
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
import { compare, fittedExponent } from "./measure.ts";
import { BENCH } from "./shaders.ts";

const SCAN_RECURRENT = BENCH.kernel("scan_recurrent");
const SELECTIVE_SCAN_RECURRENT = BENCH.kernel("selective_scan_recurrent");
/** 256 channels of 16,384 steps fall out of a software adapter's cache, 64 do not. */
const CHANNELS = [64, 256];
const STATE = 16;
const LENGTHS = [1024, 4096, 16384];

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

const times = new Map<string, number[]>();
for (const [channels, time] of CHANNELS.flatMap((c) => LENGTHS.map((t) => [c, t]))) {
  for (const [family, kernels] of Object.entries(contenders(time, channels))) {
    const ops = Object.entries(kernels).map(([name, run]) => ({ name, run }));
    // Short samples: other work on the machine lets some of them be.
    const fastest = await compare(gpu, ops, { sampleMilliseconds: 25, rounds: 5 });
    for (const [index, { name, run }] of ops.entries()) {
      const milliseconds = fastest[index];
      const key = `${channels} channels, ${family}: ${name}`;
      times.set(key, [...times.get(key) ?? [], milliseconds]);
      const runs = Math.ceil(100 / milliseconds);
      Deno.bench({
        name: `${name}, ${runs} runs`,
        group: `${family}, 1 × ${time} × ${channels}`,
        baseline: name === "token by token",
        fn: async () => {
          for (let i = 0; i < runs; i++) run();
          await gpu.sync();
        },
      });
    }
  }
}

console.error(`ms at ${LENGTHS.join(", ")} steps; exponent`);
for (const [name, values] of times) {
  const exponent = fittedExponent(LENGTHS, values);
  const row = values.map((value) => value.toFixed(2).padStart(8)).join("");
  console.error(`  ${name.padEnd(56)}${row}  T^${exponent.toFixed(2)}`);
}
