/** NaN, infinities and logits past −1e30: they go where the mathematics sends them, and nowhere else. */
import { assert, assertEquals } from "@std/assert";
import type { Gpu, Tensor } from "../../../kernels/gpu/mod.ts";
import {
  type AttentionOptions,
  flashAttention,
  flashAttentionBackward,
  flashAttentionStep,
} from "../../../kernels/attention/mod.ts";
import {
  attentionBackwardReference,
  attentionReference,
  type AttentionReferenceOptions,
} from "../../../kernels/attention/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const TIME = 75;
const SHAPE = { batch: 1, queryTime: TIME, keyTime: TIME, heads: 2, keyHeads: 1 };
const DIMS = { dim: 16, valueDim: 16 };

type Elements = Record<"query" | "key" | "value" | "outputGradient", Float32Array>;

function elementsOf(shape: AttentionReferenceOptions): Elements {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim } = shape;
  return {
    query: normals(1, batch * queryTime * heads * dim),
    key: normals(2, batch * keyTime * keyHeads * dim),
    value: normals(3, batch * keyTime * keyHeads * valueDim),
    outputGradient: normals(4, batch * queryTime * heads * valueDim),
  };
}

function tensorsOf(
  gpu: Gpu,
  { query, key, value, outputGradient }: Elements,
  shape: AttentionReferenceOptions,
): Record<keyof Elements, Tensor> {
  const { batch, queryTime, keyTime, heads, keyHeads, dim, valueDim } = shape;
  return {
    query: gpu.tensor([batch, queryTime, heads, dim], query),
    key: gpu.tensor([batch, keyTime, keyHeads, dim], key),
    value: gpu.tensor([batch, keyTime, keyHeads, valueDim], value),
    outputGradient: gpu.tensor([batch, queryTime, heads, valueDim], outputGradient),
  };
}

/** Places of NaN, as text: a difference is shown. */
function placesOfNaN(values: ArrayLike<number>): string {
  return Array.from(values).flatMap((x, i) => Number.isNaN(x) ? [i] : []).join(" ");
}

/** What is given to every op, and computed by it, beside the reference's. */
async function computed(
  elements: Elements,
  shape: AttentionReferenceOptions,
  options: AttentionOptions,
): Promise<Record<string, [Float32Array, ArrayLike<number>]>> {
  const gpu = await testGpu();
  const { outputGradient, ...inputs } = tensorsOf(gpu, elements, shape);
  const forward = flashAttention(gpu, inputs, options);
  const gradients = flashAttentionBackward(
    gpu,
    { ...inputs, ...forward, outputGradient },
    options,
  );
  const expected: Record<string, ArrayLike<number>> = {
    ...attentionReference(elements, shape),
    ...attentionBackwardReference(elements, shape),
  };
  const actual = { ...forward, ...gradients };
  const values = await gpu.read(Object.values(actual));
  return Object.fromEntries(
    Object.keys(actual).map((name, i) => [name, [values[i] as Float32Array, expected[name]]]),
  );
}

type Ways = Record<string, Partial<AttentionReferenceOptions>>;

const WAYS: Ways = {
  "causal": {},
  "a window with sinks": { window: 20, sinks: 3 },
  "a soft cap": { softCap: 2 },
  "segments": { segments: [0, 20, 41, TIME] },
  "ALiBi": { alibiSlopes: [0.5, 0.0625] },
};

for (const [name, way] of Object.entries(WAYS)) {
  testKernel(
    `one NaN in an input of attention goes where the reference has it: ${name}`,
    async () => {
      const gpu = await testGpu();
      const shape = { ...SHAPE, ...DIMS, ...way };
      const alibiSlopes = way.alibiSlopes && gpu.tensor([2], way.alibiSlopes);
      for (const where of ["query", "key", "value", "outputGradient"] as const) {
        const elements = elementsOf(shape);
        // Row 37: other rows of its tile, before and after it, do not see it.
        const row = elements[where].length / TIME;
        elements[where][37 * row + 5] = NaN;
        const outcome = await computed(elements, shape, { ...way, alibiSlopes });
        for (const [output, [actual, expected]] of Object.entries(outcome)) {
          const what = `${output} with a NaN in ${where}`;
          assertEquals(placesOfNaN(actual), placesOfNaN(expected), what);
          const numbers = Array.from(expected, (x) => Number.isNaN(x) ? 0 : x);
          assertClose(actual.map((x) => Number.isNaN(x) ? 0 : x), numbers, 1e-4, what);
        }
      }
    },
  );
}

testKernel(
  "an infinity in an input of attention leaves no finite number where the reference has none",
  async () => {
    const shape = { ...SHAPE, ...DIMS };
    for (const where of ["query", "key", "value", "outputGradient"] as const) {
      for (const infinity of [Infinity, -Infinity]) {
        const elements = elementsOf(shape);
        elements[where][37 * elements[where].length / TIME + 5] = infinity;
        for (
          const [output, [actual, expected]] of Object.entries(await computed(elements, shape, {}))
        ) {
          const places = (values: ArrayLike<number>): string =>
            placesOfNaN(Array.from(values, (x) => Number.isFinite(x) ? x : NaN));
          assertEquals(places(actual), places(expected), `${output} with ${infinity} in ${where}`);
          assert(
            actual.every((x, i) => Number.isNaN(x) || !Number.isNaN(expected[i])),
            `${output} with ${infinity} in ${where}: an infinity for a NaN`,
          );
        }
      }
    }
  },
);

testKernel(
  "an infinity in a value gives the gradients infinities of the reference's sign",
  async () => {
    // So few keys that no probability is 0 in f32.
    const shape = { batch: 1, queryTime: 20, keyTime: 20, heads: 2, keyHeads: 1, ...DIMS };
    for (const infinity of [Infinity, -Infinity]) {
      const elements = elementsOf(shape);
      elements.value[5 * DIMS.valueDim + 3] = infinity;
      for (
        const [output, [actual, expected]] of Object.entries(await computed(elements, shape, {}))
      ) {
        const signs = Array.from(expected, (x) => Number.isFinite(x) ? 0 : x);
        assertEquals(Array.from(actual, (x) => Number.isFinite(x) ? 0 : x), signs, output);
      }
    }
  },
);

testKernel("attention masks by position: logits of −1e38 and −Infinity are logits", async () => {
  const shape = { ...SHAPE, ...DIMS, scale: 1 };
  const elements = elementsOf(shape);
  const row = DIMS.dim;
  // Every query is (1, 0, 0, …), so that the first element of a key is its logit.
  elements.query.forEach((_, i) => elements.query[i] = i % row === 0 ? 1 : 0);
  elements.key.forEach((_, i) => elements.key[i] = i % row === 0 ? -1e38 : 0);
  elements.key[3 * row] = -0.9e38;
  elements.key[50 * row] = -3.4e38;
  for (
    const [output, [actual, expected]] of Object.entries(
      await computed(elements, shape, { scale: 1 }),
    )
  ) {
    if (output === "queryGradient") continue; // which keys of 1e38 take past what f32 holds
    assertClose(actual, expected, 1e-4, output);
  }
});

for (const [name, way] of Object.entries<Ways[string]>({ ...WAYS, segments: {} })) {
  testKernel(
    `one NaN in an input of flashAttentionStep() goes where the reference has it: ${name}`,
    async () => {
      const gpu = await testGpu();
      const keyTime = 700;
      const shape = { ...SHAPE, ...DIMS, ...way, queryTime: 1, keyTime, batch: 2 };
      const alibiSlopes = way.alibiSlopes && gpu.tensor([2], way.alibiSlopes);
      for (const where of ["query", "key", "value"] as const) {
        for (const key of where === "query" ? [0] : [1, 300, keyTime - 1]) {
          for (const bad of [NaN, Infinity, -Infinity]) {
            const elements = elementsOf(shape);
            elements[where][key * 16 + 5] = bad; // of the first sequence, or its first head
            const { outputGradient: _, ...inputs } = tensorsOf(gpu, elements, shape);
            const { output } = flashAttentionStep(gpu, inputs, { ...way, alibiSlopes });
            const expected = attentionReference(elements, shape).output;
            const actual = await output.read();
            const what = `${bad} in ${where} ${key}`;
            const places = (values: ArrayLike<number>): string =>
              placesOfNaN(Array.from(values, (x) => Number.isFinite(x) ? x : NaN));
            assertEquals(places(actual), places(expected), what);
            const number = (x: number): number => Number.isFinite(x) ? x : 0;
            assertClose(actual.map(number), Array.from(expected, number), 1e-5, what);
          }
        }
      }
    },
  );
}

testKernel(
  "flashAttentionStep() masks by position, and sees keys whose logits are all −1e38 or −Infinity",
  async () => {
    const gpu = await testGpu();
    const shape = { ...SHAPE, ...DIMS, queryTime: 1, keyTime: 600, scale: 1 };
    for (const logit of [-1e38, -Infinity]) {
      const elements = elementsOf(shape);
      elements.query.forEach((_, i) => elements.query[i] = i % 16 === 0 ? 1 : 0);
      elements.key.forEach((_, i) => elements.key[i] = i % 16 === 0 ? logit : 0);
      const { outputGradient: _, ...inputs } = tensorsOf(gpu, elements, shape);
      const actual = await flashAttentionStep(gpu, inputs, { scale: 1 }).output.read();
      const { output: expected } = attentionReference(elements, shape);
      if (logit === -1e38) assertClose(actual, expected, 1e-5, "output");
      else assertEquals(placesOfNaN(actual), placesOfNaN(expected));
    }
  },
);
