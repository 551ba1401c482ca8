/** Extents of nothing, and batches past what a dispatch has workgroups for in a dimension. */
import { assert, assertEquals } from "@std/assert";
import {
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  crossEntropy,
  crossEntropyBackward,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
  type Gpu,
  layerNorm,
  layerNormBackward,
  linearAttention,
  linearAttentionBackward,
  linearAttentionStep,
  matmul,
  rgLru,
  rgLruBackward,
  rmsNorm,
  rmsNormBackward,
  scan,
  scanBackward,
  selectiveScan,
  selectiveScanBackward,
  sumTo,
  type Tensor,
} from "../../kernels/mod.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../testing.ts";

/** Makes the inputs of an op: a tensor of these extents, different in each element. */
type Make = (...shape: number[]) => Tensor;

/** An op and its gradients, for a batch, a time and a width of what is mixed. */
interface Op {
  readonly run: (gpu: Gpu, make: Make, batch: number, time: number, width: number) => object[];
  /** Outputs with one row per batch element or more, the batch first. */
  readonly perBatch: readonly string[];
}

const OPS: Readonly<Record<string, Op>> = {
  flashAttention: {
    run(gpu, make, batch, time, width): object[] {
      const heads = (size: number): Tensor => make(batch, time, 1, size);
      const inputs = { query: heads(8), key: heads(8), value: heads(Math.max(1, width)) };
      const forward = flashAttention(gpu, inputs);
      const outputGradient = heads(Math.max(1, width));
      const gradients = flashAttentionBackward(gpu, { ...inputs, ...forward, outputGradient });
      const query = make(batch, 1, 1, 8);
      const step = flashAttentionStep(gpu, { ...inputs, query });
      return [forward, gradients, { stepOutput: step.output }];
    },
    perBatch: [
      "output",
      "logSumExp",
      "queryGradient",
      "keyGradient",
      "valueGradient",
      "stepOutput",
    ],
  },
  linearAttention: {
    run(gpu, make, batch, time, width): object[] {
      const inputs = {
        query: make(batch, time, 1, width),
        key: make(batch, time, 1, width),
        value: make(batch, time, 1, 5),
        initialState: make(batch, 1, width, 5),
      };
      const forward = linearAttention(gpu, inputs);
      const gradients = linearAttentionBackward(gpu, {
        ...inputs,
        outputGradient: make(batch, time, 1, 5),
        finalStateGradient: make(batch, 1, width, 5),
      });
      const [query, key] = [make(batch, 1, 1, width), make(batch, 1, 1, width)];
      const value = make(batch, 1, 1, 5);
      const step = linearAttentionStep(gpu, { query, key, value, state: inputs.initialState });
      return [forward, gradients, { stepOutput: step.output, stepState: step.finalState }];
    },
    perBatch: [
      "output",
      "finalState",
      "queryGradient",
      "keyGradient",
      "valueGradient",
      "stepOutput",
    ],
  },
  causalConvolution: {
    run(gpu, make, batch, time, width): object[] {
      const inputs = { x: make(batch, time, width), weight: make(width, 3) };
      const initialTail = make(batch, 2, width);
      const options = { activation: "silu" } as const;
      const forward = causalConvolution(gpu, { ...inputs, initialTail }, options);
      const outputGradient = make(batch, time, width);
      const gradients = causalConvolutionBackward(
        gpu,
        { ...inputs, initialTail, outputGradient },
        options,
      );
      const x = make(batch, 1, width);
      const step = causalConvolutionStep(gpu, { ...inputs, x, tail: initialTail }, options);
      return [forward, gradients, { stepOutput: step.output }];
    },
    perBatch: ["output", "finalTail", "xGradient", "initialTailGradient", "stepOutput"],
  },
  scan: {
    run(gpu, make, batch, time, width): object[] {
      const [decay, input] = [make(batch, time, width), make(batch, time, width)];
      const initialState = make(batch, width);
      const forward = scan(gpu, { decay, input, initialState });
      const outputGradient = make(batch, time, width);
      const { output } = forward;
      const gradients = scanBackward(gpu, { decay, output, initialState, outputGradient });
      return [forward, gradients];
    },
    perBatch: ["output", "finalState", "decayGradient", "inputGradient", "initialStateGradient"],
  },
  rgLru: {
    run(gpu, make, batch, time, width): object[] {
      const inputs = {
        input: make(batch, time, width),
        recurrenceGate: make(batch, time, width),
        inputGate: make(batch, time, width),
        decayParameter: make(width),
      };
      const forward = rgLru(gpu, inputs);
      const outputGradient = make(batch, time, width);
      const { output } = forward;
      return [forward, rgLruBackward(gpu, { ...inputs, output, outputGradient })];
    },
    perBatch: ["output", "finalState", "inputGradient", "inputGateGradient"],
  },
  selectiveScan: {
    run(gpu, make, batch, time, width): object[] {
      const inputs = {
        input: make(batch, time, width),
        delta: make(batch, time, width),
        a: make(width, 4),
        b: make(batch, time, 4),
        c: make(batch, time, 4),
        skip: make(width),
      };
      const forward = selectiveScan(gpu, inputs, { deltaSoftplus: true });
      const outputGradient = make(batch, time, width);
      const gradients = selectiveScanBackward(gpu, { ...inputs, outputGradient }, {
        deltaSoftplus: true,
      });
      return [forward, gradients];
    },
    perBatch: ["output", "finalState", "inputGradient", "deltaGradient", "bGradient", "cGradient"],
  },
  norms: {
    run(gpu, make, batch, time, width): object[] {
      const x = make(batch, time, width);
      const [weight, bias, outputGradient] = [make(width), make(width), make(batch, time, width)];
      const byRms = rmsNorm(gpu, { x, weight });
      const rms = rmsNormBackward(gpu, { x, weight, ...byRms, outputGradient });
      const byLayer = layerNorm(gpu, { x, weight, bias });
      const layer = layerNormBackward(gpu, { x, weight, bias, ...byLayer, outputGradient });
      return [byRms, { rmsGradient: rms.xGradient, weightGradient: rms.weightGradient }, {
        layerOutput: byLayer.output,
        mean: byLayer.mean,
        inverseDeviation: byLayer.inverseDeviation,
      }, layer];
    },
    perBatch: ["output", "inverseRms", "rmsGradient", "layerOutput", "xGradient"],
  },
  matmul: {
    run: (gpu, make, batch, time, width) => [
      matmul(gpu, { a: make(batch, time, width), b: make(width, 3) }),
      { total: sumTo(gpu, { x: make(batch, time, width) }, { shape: [width] }).output },
    ],
    perBatch: ["output"],
  },
  crossEntropy: {
    run(gpu, make, batch, time, width): object[] {
      const rows = batch * time;
      const logits = make(rows, width);
      const labels = gpu.tensor([rows], new Uint32Array(rows), "u32");
      const { loss, logSumExp } = crossEntropy(gpu, { logits, labels });
      return [
        width === 0 ? {} : { loss, logSumExp },
        crossEntropyBackward(gpu, { logits, labels, logSumExp }, { scale: 1 }),
      ];
    },
    perBatch: [],
  },
};

/** Tensors of an op's results, by name. */
function tensorsOf(results: readonly object[]): [string, Tensor][] {
  return results.flatMap((result) =>
    Object.entries(result).filter((entry): entry is [string, Tensor] =>
      typeof entry[1] === "object" && entry[1] !== null && "dtype" in entry[1]
    )
  );
}

for (const [name, { run }] of Object.entries(OPS)) {
  testKernel(`${name} of no sequence, no step and no width writes all of its outputs`, async () => {
    for (const [tiling, gpu] of await testTilings()) {
      for (const [batch, time, width] of [[0, 3, 4], [2, 0, 4], [2, 3, 0], [0, 0, 0]]) {
        const make: Make = (...shape) =>
          gpu.tensor(shape, normals(1, shape.reduce((product, extent) => product * extent, 1)));
        const named = tensorsOf(run(gpu, make, batch, time, width));
        const values = await gpu.read(named.map(([, tensor]) => tensor));
        named.forEach(([output], i) =>
          assert(
            values[i].every((x) => Number.isFinite(x)),
            `${output} of [${[batch, time, width]}] ${tiling}: ${values[i]}`,
          )
        );
      }
    }
  });
}

const MANY = 66_000;

for (
  const name of [
    "flashAttention",
    "causalConvolution",
    "selectiveScan",
    "scan",
    "rgLru",
    "linearAttention",
  ]
) {
  Deno.test(`${name} of ${MANY} sequences equals that of the last by itself`, async () => {
    const gpu = await testGpu();
    const { run, perBatch } = OPS[name];
    // The last sequence has the same elements in both; what has no batch is the same too.
    const makeFor = (batch: number): Make => {
      let seed = 0;
      return (...shape) => {
        const size = shape.reduce((product, extent) => product * extent, 1);
        const own = normals(++seed, shape[0] === batch ? size / batch : size, 0.5);
        const elements = new Float32Array(size);
        if (shape[0] === batch) elements.set(own, size - own.length);
        else elements.set(own);
        return gpu.tensor(shape, elements);
      };
    };
    const [time, width] = [2, 4];
    const one = new Map(tensorsOf(run(gpu, makeFor(1), 1, time, width)));
    const many = new Map(tensorsOf(run(gpu, makeFor(MANY), MANY, time, width)));
    for (const output of perBatch) {
      const [expected, actual] = [await one.get(output)!.read(), await many.get(output)!.read()];
      assertEquals(actual.length, expected.length * MANY);
      assertClose(actual.slice(-expected.length), expected, 1e-5, output);
      assert(actual.every(Number.isFinite), output);
    }
    for (const tensor of [...one.values(), ...many.values()]) tensor[Symbol.dispose]();
    gpu.trim();
  });
}

Deno.test("causalConvolution() and its gradients over 600,000 steps end as a short one does", async () => {
  const gpu = await testGpu();
  const [time, short, channels] = [600_000, 20, 2];
  const x = normals(1, time * channels);
  const outputGradient = normals(2, time * channels);
  const weight = gpu.tensor([channels, 4], normals(3, channels * 4));
  const results = [time, short].map((length) => {
    const part = (all: Float32Array): Tensor =>
      gpu.tensor([1, length, channels], all.slice(-length * channels));
    const inputs = { x: part(x), weight };
    const { output } = causalConvolution(gpu, inputs);
    const gradients = causalConvolutionBackward(gpu, {
      ...inputs,
      outputGradient: part(outputGradient),
    });
    return [output, gradients.xGradient];
  });
  for (const i of [0, 1]) {
    const [whole, end] = [await results[0][i].read(), await results[1][i].read()];
    assert(whole.every(Number.isFinite));
    assertClose(whole.slice(-10 * channels), end.slice(-10 * channels), 1e-6, `result ${i}`);
  }
});
