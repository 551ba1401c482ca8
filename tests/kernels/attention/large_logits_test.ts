/** Logits so large that f32 is the limit: held against what a plain f32 program makes of them. */
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { assert } from "@std/assert";
import {
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
} from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
  type AttentionReferenceOptions,
} from "../../../kernels/attention/reference.ts";
import { normals, relativeError, testGpu, testKernel } from "../../testing.ts";
import { plainAttention, type PlainInputs, type PlainOutputs } from "./plain.ts";

const BATCH = 8;
const TIME = 80;

/** Inputs whose logits have a standard deviation of `logit`. */
function inputsOf(logit: number, dim: number, draw = 0): PlainInputs {
  const side = Math.sqrt(logit);
  const [query, key, value, outputGradient] = [side, side, 1, 1].map((scale, i) =>
    normals(1000 * draw + dim + i, BATCH * TIME * dim, scale)
  );
  return { query, key, value, outputGradient };
}

interface Both {
  readonly expected: Readonly<Record<string, Float64Array>>;
  readonly plain: PlainOutputs;
}

/** Both programs' results of the inputs so far: those of the two implementations are the same. */
const BOTH = new Map<string, Both>();

/** What float64 and the plain program make of inputs. */
function bothOf(inputs: PlainInputs, shape: AttentionReferenceOptions): Both {
  const { batch, dim, valueDim } = shape;
  const key = Object.values(inputs).map((values) => `${values.length} ${values.subarray(0, 8)}`);
  let both = BOTH.get(`${key}`);
  if (both === undefined) {
    both = {
      expected: {
        output: attentionReference(inputs, shape).output,
        ...attentionBackwardReference(inputs, shape),
      },
      plain: plainAttention(inputs, { batch, time: TIME, dim, valueDim }),
    };
    BOTH.set(`${key}`, both);
  }
  return both;
}

/** Errors against float64, ours and those of the plain program, by the name of what was computed. */
async function errorsOf(
  inputs: PlainInputs,
  dim: number,
  options: AttentionOptions = {},
): Promise<Record<string, { ours: number; plain: number }>> {
  const gpu = await testGpu();
  const shape = {
    ...{ batch: BATCH, queryTime: TIME, keyTime: TIME, heads: 1, keyHeads: 1 },
    ...{ dim, valueDim: dim },
  };
  const tensor = (x: Float32Array): Tensor => gpu.tensor([BATCH, TIME, 1, dim], x);
  const [query, key, value] = [inputs.query, inputs.key, inputs.value].map(tensor);
  const forward = flashAttention(gpu, { query, key, value }, options);
  const outputGradient = tensor(inputs.outputGradient);
  const gradients = flashAttentionBackward(
    gpu,
    { query, key, value, ...forward, outputGradient },
    options,
  );
  const actual = { output: forward.output, ...gradients };
  const values = await gpu.read(Object.values(actual));
  const { expected, plain } = bothOf(inputs, shape);
  return Object.fromEntries(
    Object.keys(actual).map((name, i) => [name, {
      ours: relativeError(values[i], expected[name]),
      plain: relativeError(plain[name as keyof typeof plain], expected[name]),
    }]),
  );
}

/** Fails where an error is over three times that of the plain program, or is not a number. */
function assertAsGoodAsPlain(
  errors: Record<string, { ours: number; plain: number }>,
  what: string,
): void {
  for (const [name, { ours, plain }] of Object.entries(errors)) {
    assert(
      ours <= 3 * plain + 1e-7,
      `${what}: the error of ${name} is ${ours}, that of a plain program ${plain}`,
    );
  }
}

// 1/√dim is a power of two for 64 alone; a part of a block of vectors, two blocks, and four.
for (const dim of [20, 64, 128]) {
  testKernel(
    `attention at logits up to 1e30 is as good as plain f32: head size ${dim}`,
    async () => {
      for (const logit of [1, 30, 100, 300, 1000]) {
        // The larger the logits, the fewer the queries whose weight is not all on one key: at 1,000
        // a handful in a draw, which make up the error.
        const draws: Awaited<ReturnType<typeof errorsOf>>[] = [];
        for (let draw = 0; draw < (logit < 1000 ? 1 : 6); draw++) {
          draws.push(await errorsOf(inputsOf(logit, dim, draw), dim));
        }
        const joined = Object.keys(draws[0]).map((name) => {
          const over = (who: "ours" | "plain"): number =>
            Math.hypot(...draws.map((errors) => errors[name][who]));
          return [name, { ours: over("ours"), plain: over("plain") }];
        });
        assertAsGoodAsPlain(Object.fromEntries(joined), `logits of ${logit}`);
      }
      for (const logit of [1e5, 1e9, 1e30]) {
        const { output, valueGradient, ...others } = await errorsOf(inputsOf(logit, dim), dim);
        assertAsGoodAsPlain({ output, valueGradient }, `logits of ${logit}`);
        // One key has all the weight: these gradients are next to nothing.
        for (const { ours } of Object.values(others)) assert(Number.isFinite(ours));
      }
    },
  );
}

testKernel(
  "attention shares out a weight among equal keys, however large their logits are",
  async () => {
    const dim = 20; // whose pipelines are there already
    for (const logit of [1, 1000, 1e5, 1e9, 1e30]) {
      const inputs = inputsOf(1, dim);
      inputs.query.fill(Math.sqrt(logit / Math.sqrt(dim)));
      inputs.key.fill(Math.sqrt(logit / Math.sqrt(dim)));
      const { output, valueGradient } = await errorsOf(inputs, dim);
      assertAsGoodAsPlain({ output, valueGradient }, `equal logits of ${logit}`);
    }
  },
);
