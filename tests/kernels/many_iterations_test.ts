/**
 * Sizes at which an invocation would go round more than 65,535 times, where llvmpipe silently ends its
 * loops: the work has to be split. `LOOP_ITERATIONS` in kernels/gpu says more.
 */
import { assertEquals } from "@std/assert";
import {
  argmax,
  crossEntropy,
  embeddingBackward,
  flashAttention,
  flashAttentionBackward,
  layerNorm,
  linearAttentionBackward,
  linearAttentionRecurrent,
  matmul,
  rmsNorm,
  scan,
  scanBackward,
  selectiveScanBackward,
} from "../../kernels/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
} from "../../kernels/attention/reference.ts";
import { embeddingBackwardReference } from "../../kernels/embedding/reference.ts";
import { linearAttentionReference } from "../../kernels/linear_attention/reference.ts";
import { crossEntropyReference } from "../../kernels/loss/reference.ts";
import { layerNormReference, rmsNormReference } from "../../kernels/norm/reference.ts";
import {
  scanBackwardReference,
  scanReference,
  selectiveScanBackwardReference,
} from "../../kernels/scan/reference.ts";
import { assertClose, normals, testGpu, uniforms } from "../testing.ts";
import { assertEnds, elementsOf, type Sequence, tensorsOf } from "./sequences.ts";

for (const algorithm of ["rows", "tiles", "wide"] as const) {
  for (const [queryTime, keyTime, causal] of [[5, 70_000, true], [70_000, 5, false]] as const) {
    Deno.test(`attention of ${queryTime} queries to ${keyTime} keys by ${algorithm}`, async () => {
      const gpu = await testGpu();
      const dim = 4;
      const sequences = {
        query: [[1, queryTime, 1, dim], normals(1, queryTime * dim)],
        key: [[1, keyTime, 1, dim], normals(2, keyTime * dim)],
        value: [[1, keyTime, 1, dim], normals(3, keyTime * dim)],
        outputGradient: [[1, queryTime, 1, dim], normals(4, queryTime * dim)],
      } satisfies Record<string, Sequence>;
      const arrays = elementsOf(sequences);
      const tensors = tensorsOf(gpu, sequences);
      const options = { causal, algorithm };
      const { output, logSumExp } = flashAttention(gpu, tensors, options);
      const gradients = flashAttentionBackward(gpu, { ...tensors, output, logSumExp }, options);
      const shape = { batch: 1, queryTime, keyTime, heads: 1, keyHeads: 1, dim, valueDim: dim };
      const reference = { ...shape, causal };
      await assertEnds(gpu, { output, logSumExp, ...gradients }, {
        ...attentionReference(arrays, reference),
        ...attentionBackwardReference(arrays, reference),
      }, { bound: (name) => name.endsWith("Gradient") ? 1e-3 : 1e-4 });
    });
  }
}

Deno.test("embeddingBackward() of 150,000 tokens", async () => {
  const gpu = await testGpu();
  const [count, vocabulary, width] = [150_000, 10, 4];
  const tokens = Uint32Array.from(uniforms(1, count, 0, vocabulary - 0.01), Math.floor);
  const outputGradient = normals(2, count * width);
  using tokenTensor = gpu.tensor([count], tokens, "u32");
  using gradientTensor = gpu.tensor([count, width], outputGradient);
  const { weightGradient } = embeddingBackward(gpu, {
    tokens: tokenTensor,
    outputGradient: gradientTensor,
  }, { vocabulary });
  const expected = embeddingBackwardReference(tokens, outputGradient, vocabulary);
  assertClose(await weightGradient.read(), expected, 1e-4, "weightGradient");
  weightGradient[Symbol.dispose]();
});

for (const algorithm of [undefined, "register", "workgroup", "vector"] as const) {
  for (const transposeB of [false, true]) {
    Deno.test(`matmul() of 300,000 terms, ${algorithm ?? "by the table"}${transposeB ? ", b transposed" : ""}`, async () => {
      const gpu = await testGpu();
      const [rows, terms, columns] = [2, 300_000, 3];
      const a = normals(1, rows * terms);
      const b = normals(2, terms * columns);
      using aTensor = gpu.tensor([rows, terms], a);
      using bTensor = gpu.tensor(transposeB ? [columns, terms] : [terms, columns], b);
      using output = matmul(gpu, { a: aTensor, b: bTensor }, { algorithm, transposeB }).output;
      const expected = Array.from({ length: rows * columns }, (_, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        let sum = 0;
        for (let k = 0; k < terms; k++) {
          sum += a[row * terms + k] * b[transposeB ? column * terms + k : k * columns + column];
        }
        return sum;
      });
      assertClose(await output.read(), expected, 1e-4, "output");
    });
  }
}

for (const [time, chunkSize] of [[70_000, 1], [300_000, 300_000]]) {
  Deno.test(`scan() of ${time} steps in chunks of ${chunkSize}`, async () => {
    const gpu = await testGpu();
    const sequences = {
      decay: [[1, time, 1], uniforms(1, time, 0.998, 1)],
      input: [[1, time, 1], normals(2, time)],
      initialState: [[1, 1], normals(3, 1)],
      outputGradient: [[1, time, 1], normals(4, time)],
      finalStateGradient: [[1, 1], normals(5, 1)],
    } satisfies Record<string, Sequence>;
    const arrays = elementsOf(sequences);
    const tensors = tensorsOf(gpu, sequences);
    const shape = { batch: 1, time, channels: 1 };
    const { decay, input, initialState, outputGradient, finalStateGradient } = arrays;
    const expected = scanReference({ decay, input, initialState }, shape);
    const outputs = scan(gpu, tensors, { chunkSize });
    const gradients = scanBackward(gpu, { ...tensors, output: outputs.output }, { chunkSize });
    await assertEnds(gpu, { ...outputs, ...gradients }, {
      ...expected,
      ...scanBackwardReference({
        decay,
        output: expected.output,
        initialState,
        outputGradient,
        finalStateGradient,
      }, shape),
    }, { bound: (name) => name.endsWith("Gradient") ? 1e-3 : 1e-4 });
  });
}

Deno.test("selectiveScanBackward() sums the gradient of a over 66,560 chunks", async () => {
  const gpu = await testGpu();
  const shape = { batch: 33_280, time: 17, channels: 1, state: 1 };
  const { batch, time } = shape;
  const [whole, rows] = [[batch, time, 1], batch * time];
  const sequences = {
    input: [whole, normals(1, rows)],
    delta: [whole, normals(2, rows)],
    a: [[1, 1], Float32Array.of(-0.5)],
    b: [whole, normals(3, rows)],
    c: [whole, normals(4, rows)],
    skip: [[1], normals(5, 1)],
    gate: [whole, normals(6, rows)],
    deltaBias: [[1], normals(7, 1)],
    initialState: [[batch, 1, 1], normals(8, batch)],
    outputGradient: [whole, normals(9, rows)],
    finalStateGradient: [[batch, 1, 1], normals(10, batch)],
  } satisfies Record<string, Sequence>;
  const arrays = elementsOf(sequences);
  const tensors = tensorsOf(gpu, sequences);
  const gradients = selectiveScanBackward(gpu, tensors, { deltaSoftplus: true });
  await assertEnds(
    gpu,
    { ...gradients },
    selectiveScanBackwardReference(arrays, shape),
    { bound: () => 1e-3 },
  );
});

Deno.test("linearAttentionRecurrent() of 70,000 steps", async () => {
  const gpu = await testGpu();
  const [time, dim] = [70_000, 8];
  const sequences = {
    query: [[1, time, 1, dim], normals(1, time * dim)],
    key: [[1, time, 1, dim], normals(2, time * dim)],
    value: [[1, time, 1, dim], normals(3, time * dim)],
    logDecay: [[1, time, 1], uniforms(4, time, -0.002, 0)],
  } satisfies Record<string, Sequence>;
  const outputs = linearAttentionRecurrent(gpu, tensorsOf(gpu, sequences));
  const shape = { batch: 1, time, heads: 1, groups: 1, keyDim: dim, valueDim: dim };
  const expected = linearAttentionReference(elementsOf(sequences), shape);
  await assertEnds(gpu, { ...outputs }, expected, { bound: () => 1e-4 });
});

// One sequence gets longer chunks than it asks for; the chunks of two are more than one sum takes.
for (const batch of [1, 2]) {
  Deno.test(`linearAttentionBackward() of 560,000 steps in chunks of 8, ${batch} sequences`, async () => {
    const gpu = await testGpu();
    const rows = 560_000;
    const whole = [batch, rows / batch, 1, 1];
    const sequences = {
      query: [whole, normals(1, rows)],
      key: [whole, normals(2, rows)],
      value: [whole, normals(3, rows)],
      bonus: [[1, 1], normals(4, 1)],
      outputGradient: [whole, normals(5, rows)],
      finalStateGradient: [[batch, 1, 1, 1], normals(6, batch)],
      initialState: [[batch, 1, 1, 1], normals(7, batch)],
    } satisfies Record<string, Sequence>;
    const { query, key, value, outputGradient, finalStateGradient } = elementsOf(sequences);
    const { bonusGradient, initialStateGradient } = linearAttentionBackward(
      gpu,
      tensorsOf(gpu, sequences),
      { chunkSize: 8 },
    );
    let ofBonus = 0;
    const ofState = Float64Array.from(finalStateGradient);
    query.forEach((q, row) => {
      ofBonus += q * key[row] * value[row] * outputGradient[row];
      ofState[Math.floor(row * batch / rows)] += q * outputGradient[row];
    });
    assertClose(await bonusGradient!.read(), [ofBonus], 1e-3, "bonusGradient");
    assertClose(await initialStateGradient!.read(), ofState, 1e-3, "initialStateGradient");
  });
}

Deno.test("rows of 600,001 and of 2,200,000 columns", async () => {
  const gpu = await testGpu();
  const width = 600_001;
  const [x, weight] = [normals(1, width), normals(2, width)];
  using xTensor = gpu.tensor([1, width], x);
  using weightTensor = gpu.tensor([width], weight);
  const inputs = { x: xTensor, weight: weightTensor };
  const byRms = rmsNorm(gpu, inputs).output;
  const byLayer = layerNorm(gpu, inputs).output;
  assertClose(await byRms.read(), rmsNormReference(x, weight), 1e-4, "rmsNorm");
  assertClose(
    await byLayer.read(),
    layerNormReference(x, weight, new Float32Array(width)),
    1e-4,
    "layerNorm",
  );

  const vocabulary = 2_200_000;
  const logits = normals(3, vocabulary);
  logits[vocabulary - 2] = 9;
  using logitsTensor = gpu.tensor([1, vocabulary], logits);
  using labels = gpu.tensor([1], [vocabulary - 2], "u32");
  const { loss } = crossEntropy(gpu, { logits: logitsTensor, labels });
  const { tokens } = argmax(gpu, { logits: logitsTensor });
  const expected = crossEntropyReference(logits, [vocabulary - 2]);
  assertClose(await loss.read(), expected.loss, 1e-4, "loss");
  assertEquals([...await tokens.read()], [vocabulary - 2]);
});
