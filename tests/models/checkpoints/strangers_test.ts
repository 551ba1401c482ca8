import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { describeModel, loadModel, readSafetensors } from "../../../models/mod.ts";
import { assertClose, inFolder, testGpu } from "../../testing.ts";
import { changeConfig, changeTensors, FOLDER, inCopy } from "../published_checkpoints.ts";

const STRANGERS = fromFileUrl(new URL("../../golden/checkpoints/strangers", import.meta.url));

/** The small checkpoints of all families that have a config. */
const CONFIGS = (await Array.fromAsync(Deno.readDir(FOLDER), ({ name }) => name)).filter((name) =>
  exists(`${FOLDER}/${name}/config.json`)
).sort();

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

for (const name of ["tied_both", "yarn_top", "partial", "llama32", "llama32_v5"]) {
  Deno.test(`${name}: logits are those of transformers`, async () => {
    const gpu = await testGpu();
    const path = `${STRANGERS}/${name}/expected.safetensors`;
    const { tensors } = readSafetensors(await Deno.readFile(path), path);
    using model = await loadModel(gpu, `${STRANGERS}/${name}`);
    using logits = model.forward(tensors.get("tokens")!.data);
    assertClose(await logits.read(), tensors.get("logits")!.data, 1e-4, "logits");
  });
}

Deno.test("a head beside a tied embedding is loaded where it differs, and then counted", async () => {
  const gpu = await testGpu();
  using model = await loadModel(gpu, `${STRANGERS}/tied_both`);
  assertEquals(model.configuration.tiedHead, false);
  assert(model.parameters.has("head.weight"));
  const tied: string[] = [];
  for (const name of CONFIGS.filter((name) => exists(`${FOLDER}/${name}/model.safetensors`))) {
    const { vocabulary, width, tiedHead } =
      (await describeModel(`${FOLDER}/${name}`)).configuration;
    if (!tiedHead) continue;
    tied.push(name);
    await inCopy(name, async (folder) => {
      const data = Float32Array.from({ length: vocabulary * width }, (_, index) => index % 7);
      await changeTensors(folder, (tensors) => {
        tensors.set("lm_head.weight", { shape: [vocabulary, width], data });
      });
      using model = await loadModel(gpu, folder);
      assertEquals(await model.parameters.get("head.weight")!.tensor.read(), data, name);
    });
  }
  assert(
    ["llama_tied", "mamba", "recurrent_gemma"].every((name) => tied.includes(name)),
    `${tied}`,
  );
});

Deno.test("the training length is the one before scaling, in whichever spelling it is given", async () => {
  const lengthOf = async (name: string): Promise<number | undefined> =>
    (await describeModel(`${STRANGERS}/${name}`)).trainedLength;
  assertEquals(await lengthOf("llama32"), 32);
  assertEquals(await lengthOf("llama32_v5"), 32);
  assertEquals(await lengthOf("yarn_top"), 16);
  assertEquals(await lengthOf("partial"), 64);
});

Deno.test("a part of a head that turns goes with no scaling in Llama, as in transformers", () =>
  inCopy("llama", async (folder) => {
    await changeConfig(folder, (config) => ({
      ...config,
      rope_parameters: { rope_type: "linear", factor: 2, partial_rotary_factor: 0.5 },
    }));
    await assertRejects(
      () => describeModel(folder),
      Error,
      '"partial_rotary_factor" must be 1 with the "rope_type" "linear": current value is 0.5',
    );
  }));

Deno.test("RecurrentGemma turns half a head by default, and has no scaling, as in transformers", () =>
  inCopy("recurrent_gemma", async (folder) => {
    const rotaryDimWith = async (rope: Record<string, unknown>): Promise<number | undefined> => {
      await changeConfig(folder, ({ partial_rotary_factor: _, ...config }) => ({
        ...config,
        rope_parameters: { rope_type: "default", rope_theta: 10_000, ...rope },
      }));
      const { layers } = (await describeModel(folder)).configuration;
      const mixer = layers.find(({ mixer }) => mixer?.kind === "attention")!.mixer!;
      return mixer.kind === "attention" ? mixer.rotaryDim ?? mixer.headDim : undefined;
    };
    assertEquals(await rotaryDimWith({}), 4); // of 8
    assertEquals(await rotaryDimWith({ partial_rotary_factor: 1 }), 8);
    await assertRejects(
      () => rotaryDimWith({ partial_rotary_factor: 0.4 }),
      Error,
      '"partial_rotary_factor" must give an even part of a head',
    );
    await assertRejects(
      () => rotaryDimWith({ rope_type: "linear", factor: 2 }),
      Error,
      '"rope_type" must be default',
    );
  }));

Deno.test("quantized weights are refused by name in every family, and integers without a word of it", async () => {
  const gpu = await testGpu();
  await assertRejects(
    () => loadModel(gpu, `${STRANGERS}/int8_bare`),
    Error,
    '"quantization_config" must be absent, as quantized weights are not supported: current value is {"quant_method":"something","bits":8}',
  );
  for (const name of CONFIGS) {
    await inConfig(name, async (folder) => {
      await changeConfig(folder, (config) => ({
        ...config,
        quantization_config: { quant_method: "gptq" },
      }));
      await assertRejects(() => describeModel(folder), Error, '"quant_method":"gptq"', name);
    });
  }
  await inFolder(async (folder) => {
    for (const file of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(`${STRANGERS}/int8_bare/${file}`, `${folder}/${file}`);
    }
    await changeConfig(folder, ({ quantization_config: _, ...config }) => config);
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      "quantized weights are not supported, and it stores integers in model.layers.0.self_attn.q_proj.weight",
    );
  });
});

Deno.test("a config with 10⁹ layers is refused at once", () =>
  inFolder(async (folder) => {
    await Deno.copyFile(`${STRANGERS}/layers_1e9.config.json`, `${folder}/config.json`);
    await assertRejects(
      () => describeModel(folder),
      Error,
      `Cannot read ${folder}/config.json: "num_hidden_layers" must be a positive integer, at most 4096: current value is 1000000000`,
    );
  }));

Deno.test("every number of every family's config is bounded, and no other kind of value is taken for it", async () => {
  for (const name of CONFIGS) {
    await inConfig(name, async (folder) => {
      const text = await Deno.readTextFile(`${folder}/config.json`);
      const said: Record<string, unknown> = JSON.parse(text);
      // Models of texts and pictures keep what is the text's apart.
      const inner = said.text_config as Record<string, unknown> | undefined;
      const sizes = Object.entries(inner ?? said).filter(([key, value]) =>
        SIZES.test(key) && typeof value === "number" && !UNREAD[name]?.includes(key)
      );
      assert(sizes.length > 1, name);
      for (const [key] of sizes) {
        for (const value of [-1, 0.5, 1e9, 1e300, "8", true, [1], { a: 1 }]) {
          const changed = inner
            ? { ...said, text_config: { ...inner, [key]: value } }
            : { ...said, [key]: value };
          await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(changed));
          await assertRejects(
            () => describeModel(folder),
            Error,
            `Cannot read ${folder}/config.json${inner ? ', "text_config"' : ""}: "${key}" must`,
            `${name} ${key} ${JSON.stringify(value)}`,
          );
        }
      }
    });
  }
});

/** What transformers writes besides, though the family has no use for it. */
const UNREAD: Readonly<Record<string, readonly string[]>> = { rwkv6_hf: ["num_attention_heads"] };
const SIZES =
  /^(hidden_size|num_hidden_layers|n_layer|d_model|num_heads|num_attention_heads|conv_kernel|state_size|n_groups)$/;

/** Runs a test in a folder that holds a family's config alone. */
function inConfig(name: string, test: (folder: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    await Deno.copyFile(`${FOLDER}/${name}/config.json`, `${folder}/config.json`);
    await test(folder);
  });
}
