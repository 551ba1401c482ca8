import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  architecture,
  loadModel,
  Model,
  readSafetensors,
  saveModel,
  writeSafetensors,
} from "../../models/mod.ts";
import { inFolder, testGpu } from "../testing.ts";

const CONFIGURATION = architecture("griffin", { vocabulary: 20, width: 16 });

Deno.test("a model is the same after it was saved and loaded", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    using loaded = await loadModel(gpu, folder);
    assertEquals(loaded.configuration, model.configuration);
    using before = model.forward([1, 2, 3]);
    using after = loaded.forward([1, 2, 3]);
    const [expected, actual] = await gpu.read([before, after]);
    assertEquals(actual, expected);
  }));

Deno.test("loadModel() names the file that is missing, truncated or foreign", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    await assertRejects(() => loadModel(gpu, folder), Error, "it holds none of model.safetensors");
    await Deno.writeTextFile(`${folder}/config.json`, "{");
    await assertRejects(() => loadModel(gpu, folder), Error, "it is not valid JSON");
    await Deno.writeTextFile(`${folder}/config.json`, '{"architectures": ["HyenaForCausalLM"]}');
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      'it must say one of "format": "lengthwise"; "architectures": ["LlamaForCausalLM"]',
    );
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    const path = `${folder}/model.safetensors`;
    const bytes = await Deno.readFile(path);
    await Deno.writeFile(path, bytes.subarray(0, bytes.length - 100));
    await assertRejects(() => loadModel(gpu, folder), Error, "truncated");
    await Deno.writeFile(path, new TextEncoder().encode("PK\x03\x04 a zip file, not safetensors"));
    await assertRejects(() => loadModel(gpu, folder), Error, "another format?");
  }));

Deno.test("loadModel() lists tensors that are missing, extra or misshapen, and unknown mixers", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    const path = `${folder}/model.safetensors`;
    const { tensors } = readSafetensors(await Deno.readFile(path), path);
    tensors.set("lm_head.weight", tensors.get("head.weight")!);
    tensors.delete("head.weight");
    tensors.set("norm.weight", { shape: [3], data: new Float32Array(3) });
    await Deno.writeFile(path, writeSafetensors(tensors));
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      "it lacks head.weight; it has tensors of another model: lm_head.weight; norm.weight has shape [3], not [16]",
    );
    const configuration = JSON.parse(await Deno.readTextFile(`${folder}/config.json`));
    configuration.layers[0].mixer.kind = "hyena";
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(configuration));
    await assertRejects(() => loadModel(gpu, folder), RangeError, "known kinds are attention");
  }));

Deno.test("safetensors are read as they were written, and checked", () => {
  const tensors = new Map([
    ["a", { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
    ["é", { shape: [0], data: new Float32Array() }],
  ]);
  const bytes = writeSafetensors(tensors, { note: "x" });
  const read = readSafetensors(bytes, "made");
  assertEquals(read.tensors, tensors);
  assertEquals(read.metadata, { note: "x" });
  assertThrows(() => readSafetensors(bytes.subarray(0, 5), "made"), Error, "it has 5 bytes");
  assertThrows(() => readSafetensors(bytes.subarray(0, 40), "made"), Error, "truncated");
});

Deno.test("an unknown architecture is refused by name", () => {
  assertThrows(
    () => architecture("hyena", { vocabulary: 8, width: 16 }),
    RangeError,
    'Unknown architecture "hyena": ARCHITECTURES has all',
  );
});

Deno.test("a model refuses tokens that are not in its vocabulary, and a state that was used", async () => {
  const gpu = await testGpu();
  using model = new Model(gpu, CONFIGURATION, { seed: 3 });
  assertThrows(() => model.forward([1, 20]), RangeError, "the tokens 0 to 19");
  assertThrows(() => model.forward([]), RangeError, "no tokens");
  const { logits, state } = model.advance([1, 2]);
  const next = model.advance([3], state);
  assertThrows(() => model.advance([3], state), Error, "twice");
  for (const used of [logits, next.logits, next.state]) used[Symbol.dispose]();
});
