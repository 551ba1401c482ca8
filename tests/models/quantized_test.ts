import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { quantizeReference } from "../../kernels/storage/reference.ts";
import {
  loadModel,
  Model,
  saveModel,
  Tape,
  weightBytes,
  type WeightType,
} from "../../models/mod.ts";
import { keptParameters } from "../../models/matrices.ts";
import { assertClose, inFolder, testGpu } from "../testing.ts";
import { FOLDER, readExpected, RWKV_7 } from "./published_checkpoints.ts";

const BITS: Partial<Record<WeightType, number>> = { int8: 8, int4: 4 };

/** The model with every matrix replaced by what the plain code's integers stand for, in f32. */
async function asInReference(exact: Model, dtype: WeightType): Promise<Model> {
  const kept = keptParameters(exact.configuration, dtype);
  const values = new Map<string, Float32Array>();
  for (const { name, shape, dtype } of kept) {
    const data = await exact.parameters.get(name)!.tensor.read();
    const bits = BITS[dtype];
    values.set(
      name,
      bits === undefined
        ? data
        : Float32Array.from(quantizeReference(data, { columns: shape[1], bits, group: 32 }).values),
    );
  }
  return new Model(exact.gpu, exact.configuration, values);
}

for (
  const [name, path = name] of [
    ["llama"],
    ["llama_tied"],
    ["mamba2"],
    ["rwkv7", RWKV_7],
    ["gated_deltanet_hybrid"],
    ["qwen3_5"],
  ]
) {
  for (const dtype of ["int8", "int4"] as const) {
    Deno.test(`${name} in ${dtype}: logits and steps are those of the same quantization in plain code`, async () => {
      const gpu = await testGpu();
      using model = await loadModel(gpu, `${FOLDER}/${path}`, { dtype });
      using exact = await loadModel(gpu, `${FOLDER}/${path}`);
      using reference = await asInReference(exact, dtype);
      const { tokens } = await readExpected(`${FOLDER}/${name}/expected.safetensors`);
      for (const length of [1, 100]) {
        using logits = model.forward(tokens.subarray(0, length));
        using expected = reference.forward(tokens.subarray(0, length));
        using unquantized = exact.forward(tokens.subarray(0, length));
        const [ours, theirs, exactly] = await gpu.read([logits, expected, unquantized]);
        assertClose(ours, theirs, 1e-4, `logits of ${length} tokens`);
        // It is not the exact model that was run.
        assertThrows(() => assertClose(ours, exactly, 1e-4, "exact"));
      }
      const prompt = tokens.subarray(0, 20);
      assertEquals(
        await model.generate(prompt, { maxTokens: 16 }),
        await reference.generate(prompt, { maxTokens: 16 }),
      );
      const held = [...model.parameters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
      assertEquals(held, weightBytes(model.configuration, dtype));
    });
  }
}

Deno.test("weights in int4 keep the embedding and the head in int8; norms and biases in f32", async () => {
  const gpu = await testGpu();
  using model = await loadModel(gpu, `${FOLDER}/llama`, { dtype: "int4" });
  const types = (name: string): string[] =>
    model.parameters.get(name)!.matrices.map(({ dtype }) => dtype);
  assertEquals(types("embedding.weight"), ["int8"]);
  assertEquals(types("head.weight"), ["int8"]);
  assertEquals(types("layers.0.mixer.query.weight"), ["int4"]);
  assertEquals(types("norm.weight"), ["f32"]);
});

Deno.test("quantized weights are cut too where a binding is too small for them", async () => {
  const { device } = await testGpu();
  const small = await openGpu({ device, binding: 1280 });
  using model = await loadModel(small, `${FOLDER}/llama_tied`, { dtype: "int8" });
  assert(model.parameters.get("embedding.weight")!.blocks.length > 1);
  using whole = await loadModel(await testGpu(), `${FOLDER}/llama_tied`, { dtype: "int8" });
  for (const tokens of [[5], [1, 2, 3]]) {
    using logits = model.forward(tokens);
    using expected = whole.forward(tokens);
    assertClose(await logits.read(), await expected.read(), 1e-5, "logits");
  }
});

Deno.test("a quantized model is neither saved nor trained, and what no scale holds is refused", async () => {
  const gpu = await testGpu();
  using model = await loadModel(gpu, `${FOLDER}/llama`, { dtype: "int8" });
  await inFolder(async (folder) => {
    await assertRejects(() => saveModel(model, folder), Error, "in int8");
    using exact = await loadModel(gpu, `${FOLDER}/llama`);
    const values = new Map<string, Float32Array>();
    for (const [name, { tensor }] of exact.parameters) values.set(name, await tensor.read());
    values.get("layers.1.mixer.output.weight")![7] = 1e5;
    using large = new Model(gpu, exact.configuration, values);
    await saveModel(large, folder);
    await assertRejects(
      () => loadModel(gpu, folder, { dtype: "int4" }),
      RangeError,
      "Cannot load layers.1.mixer.output.weight from",
    );
  });
  using tape = new Tape(gpu, { recording: true });
  using tokens = gpu.tensor([1, 2], [1, 2], "u32");
  const { hidden } = model.read(tape, tokens);
  using gradient = gpu.tensor(hidden.shape);
  assertThrows(
    () => tape.backward([{ variable: hidden, gradient: gradient.reshape(gradient.shape) }]),
    Error,
    "in int8",
  );
});
