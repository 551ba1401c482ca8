/**
 * Holds random checkpoints of published shapes, which make.py wrote, to PyTorch's float64, and prints
 * times beside PyTorch's. It is not part of the test run, as it takes minutes and gigabytes:
 *
 *     python tests/real_size/make.py /tmp/real SmolLM2-135M   # TOKENS=64: not of 512 tokens
 *     REAL_SIZE=/tmp/real deno test -A tests/real_size/compare.ts
 *
 * @module
 */
import { join } from "@std/path";
import { openGpu, timeWork } from "../../kernels/gpu/mod.ts";
import {
  loadModel,
  type Model,
  type ModelState,
  readSafetensors,
  type WeightType,
} from "../../models/mod.ts";
import { assertClose, relativeError } from "../numbers.ts";

/** Tokens whose logits fit in a binding, whatever the vocabulary. */
const SEGMENT = 128;
const BOUND = 1e-5;
const STEPS = 8;
/** Models that are published in 16 bits and kept so. */
const HALVES = ["Qwen3-0.6B"];

/** What make.py measured. */
interface Measured {
  readonly prefill: number;
  readonly step: number;
  readonly error: number;
}

async function logitsOf(model: Model, tokens: Float32Array): Promise<Float32Array> {
  const { vocabulary } = model.configuration;
  const logits = new Float32Array(tokens.length * vocabulary);
  let state: ModelState | undefined;
  for (let start = 0; start < tokens.length; start += SEGMENT) {
    const part = tokens.subarray(start, start + SEGMENT);
    const advanced = model.advance(part, state);
    using read = advanced.logits;
    state = advanced.state;
    logits.set(await read.read(), start * vocabulary);
  }
  state?.[Symbol.dispose]();
  return logits;
}

/** Milliseconds to read tokens, and for each of a few more; the first round has the kernels compiled. */
async function timesOf(
  model: Model,
  tokens: Float32Array,
): Promise<{ prefill: number; step: number }> {
  let [prefill, step] = [Infinity, Infinity];
  for (let round = 0; round < 2; round++) {
    let read: ReturnType<Model["prefill"]> | undefined;
    const reading = await timeWork(model.gpu, () => {
      read = model.prefill(tokens);
    });
    prefill = Math.min(prefill, reading);
    const maxTokens = STEPS;
    const going = await timed(() => model.continueFrom(read!, { maxTokens }));
    step = Math.min(step, going / maxTokens);
  }
  return { prefill, step };
}

/** A folder; or the `.pth` in it, as what is expected lies beside it. */
function weightsIn(folder: string): string {
  const file = [...Deno.readDirSync(folder)].find(({ name }) => name.endsWith(".pth"));
  return file === undefined ? folder : join(folder, file.name);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

const folder = Deno.env.get("REAL_SIZE");
if (folder === undefined) {
  throw new Error(
    "Cannot compare as nobody says where the checkpoints are: run tests/real_size/make.py, and set REAL_SIZE to its folder",
  );
}
for (const { name } of [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  const dtypes: WeightType[] = HALVES.includes(name) ? ["f16"] : ["f32"];
  for (const dtype of [...dtypes, "int8", "int4"] as const) {
    Deno.test(`${name} in ${dtype} beside PyTorch`, async () => {
      const gpu = await openGpu();
      try {
        const path = join(folder, name);
        const expected = join(path, "expected.safetensors");
        const { tensors } = readSafetensors(await Deno.readFile(expected), expected);
        const tokens = tensors.get("tokens")!.data;
        const logits = tensors.get("logits")!.data;
        const measured: Measured = JSON.parse(
          await Deno.readTextFile(join(path, "pytorch.json")),
        );
        const start = performance.now();
        using model = await loadModel(gpu, weightsIn(path), { dtype });
        await gpu.sync();
        const loading = performance.now() - start;
        const error = relativeError(await logitsOf(model, tokens), logits);
        const { prefill, step } = await timesOf(model, tokens);
        const bytes = [...model.parameters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
        console.log(
          `${name} | ${dtype} | ${(bytes / 1e6).toFixed(0)} MB | loaded in ${
            loading.toFixed(0)
          } ms | error ${error.toExponential(1)}, PyTorch's float32 ${
            measured.error.toExponential(1)
          } | ${tokens.length} tokens ${prefill.toFixed(0)} ms, PyTorch ${
            measured.prefill.toFixed(0)
          } ms | step ${step.toFixed(1)} ms, PyTorch ${measured.step.toFixed(1)} ms`,
        );
        if (dtypes.includes(dtype)) assertClose([error], [0], BOUND, "logits");
      } finally {
        await gpu[Symbol.asyncDispose]();
      }
    });
  }
}
