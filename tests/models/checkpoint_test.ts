import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  architecture,
  describeModel,
  loadModel,
  Model,
  type ModelFiles,
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

Deno.test("a model saved in f16 takes half the room, and is the same to 11 bits", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    const whole = await Deno.readFile(`${folder}/model.safetensors`);
    await saveModel(model, folder, { dtype: "f16" });
    const half = await Deno.readFile(`${folder}/model.safetensors`);
    const { tensors } = readSafetensors(whole, folder);
    const elements = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
    assert(Math.abs(whole.length - half.length - 2 * elements) < 200);
    for (const [name, { data }] of readSafetensors(half, folder).tensors) {
      assertEquals(data, tensors.get(name)!.data.map(Math.f16round));
    }
    using loaded = await loadModel(gpu, folder);
    using after = loaded.forward([1, 2, 3]);
    using before = model.forward([1, 2, 3]);
    const [expected, actual] = await gpu.read([before, after]);
    expected.forEach((value, i) => assertAlmostEquals(actual[i], value, 1e-2));
  }));

Deno.test("a weight that is too large for f16 is refused, and the model's file stays", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    const path = `${folder}/model.safetensors`;
    const bytes = await Deno.readFile(path);
    const { tensors } = readSafetensors(bytes, folder);
    const [[name, { data }]] = tensors;
    data[1] = 70_000;
    await Deno.writeFile(path, writeSafetensors(tensors));
    using large = await loadModel(gpu, folder);
    const before = await Deno.readFile(path);
    await assertRejects(
      () => saveModel(large, folder, { dtype: "f16" }),
      RangeError,
      `Cannot store ${name} in f16 as that reaches to 65504: one of its values is 70000`,
    );
    assertEquals(await Deno.readFile(path), before);
    await assertRejects(
      () => saveModel(large, folder, { dtype: "int8" as "f16" }),
      RangeError,
      'dtype must be "f32" or "f16": current value is "int8"',
    );
    await assertRejects(() => saveModel(large, `${folder}/new`, { dtype: "f16" }), RangeError);
    await assertRejects(() => Deno.stat(`${folder}/new`), Deno.errors.NotFound);
  }));

Deno.test("loadModel() takes the contents of files, one or several, as bytes and as blobs", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    using model = new Model(gpu, CONFIGURATION, { seed: 3 });
    await saveModel(model, folder);
    const config = await Deno.readTextFile(`${folder}/config.json`);
    const whole = await Deno.readFile(`${folder}/model.safetensors`);
    const { tensors } = readSafetensors(whole, folder);
    const shards = [0, 1].map((part) =>
      writeSafetensors(new Map([...tensors].filter((_, index) => index % 2 === part)))
    );
    const contents = [
      { config, weights: whole },
      { config: JSON.parse(config), weights: new Blob([whole]) },
      { config, weights: [shards[0], new Blob([shards[1]])] },
    ];
    using before = model.forward([1, 2, 3]);
    const expected = await before.read();
    for (const files of contents) {
      using loaded = await loadModel(gpu, files);
      using after = loaded.forward([1, 2, 3]);
      assertEquals(await after.read(), expected);
      assertEquals(await describeModel(files), {
        configuration: model.configuration,
        trainedLength: undefined,
      });
    }
    const wrong: readonly (readonly [files: ModelFiles, message: string])[] = [
      [
        { config, weights: [whole, shards[1]] },
        "Cannot open the weights of the given files as sev",
      ],
      [
        { config, weights: shards[0], name: "half" },
        "Cannot load half as a griffin model: it lacks",
      ],
      [{ config: "{", weights: whole, name: "mine" }, "the config of mine"],
      [{ weights: whole }, "there is no config.json beside it"],
      [{ config, weights: new Blob([whole.subarray(0, -8)]) }, "truncated"],
    ];
    for (const [files, message] of wrong) {
      await assertRejects(() => loadModel(gpu, files), Error, message);
    }
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
