import { assert, assertEquals } from "@std/assert";
import { loadModel, type Model } from "../../models/mod.ts";
import { assertClose, testGpu } from "../testing.ts";
import {
  assertAsExpected,
  assertLong,
  FOLDER,
  inCopy,
  readExpected,
  RWKV_6,
  RWKV_7,
} from "./published_checkpoints.ts";

/** Checkpoints of transformers' and mamba_ssm's models. */
const OF_TRANSFORMERS = [
  "llama",
  "llama_tied",
  "mamba",
  "mamba_biased",
  "mamba2",
  "mamba2_biased",
  "mamba_ssm",
  "mamba2_ssm",
  "mamba2attn_ssm",
  "transformerpp_ssm",
  "recurrent_gemma",
  "recurrent_gemma_biased",
  "qwen2",
  "qwen3",
  "mistral",
  "smollm3",
  "gemma2",
  "gemma3_text",
  "gemma3",
  "qwen3_5_text",
  "qwen3_5",
  "olmo_hybrid",
  "olmo_hybrid_rotary",
  "granitemoehybrid",
  "granitemoehybrid_rotary",
  "bamba",
  "falcon_mamba",
  "falcon_h1",
  "falcon_h1_normed",
  "nemotron_h",
  "lfm2",
];

for (const name of OF_TRANSFORMERS) {
  Deno.test(`${name}: logits and greedy generation are those of the reference`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, `${FOLDER}/${name}`);
    const expected = await readExpected(`${FOLDER}/${name}/expected.safetensors`);
    await assertAsExpected(model, expected);
    await assertLong(model, expected.long!);
  });
}

/** RWKV's. */
const OF_RWKV = [
  ["rwkv6", RWKV_6],
  ["rwkv7", RWKV_7],
  ["rwkv6_hf", "rwkv6_hf"],
  ["rwkv6_fla", "rwkv6_fla"],
  ["rwkv7_fla", "rwkv7_fla"],
];

for (const [name, path] of OF_RWKV) {
  Deno.test(`${name}: logits and greedy generation are those of the papers' formulas, up to 2000 tokens`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, `${FOLDER}/${path}`);
    const expected = await readExpected(`${FOLDER}/${name}/expected.safetensors`);
    await assertAsExpected(model, expected);
    await assertLong(model, expected.long!);
  });
}

/** Those of fla. */
const OF_FLA = [
  "gated_deltanet",
  "gated_deltanet_hybrid",
  "gla",
  "gla_varied",
  "retnet",
  "retnet_varied",
  "delta_net",
  "delta_net_varied",
  "hgrn2",
  "gated_deltaproduct",
  "gated_deltaproduct_varied",
  "kda",
  "kda_varied",
  "hgrn",
  "hgrn_varied",
  "transformer_fla",
  "mamba_fla",
];

for (const name of OF_FLA) {
  Deno.test(`${name}: logits and greedy generation are those of fla's models over its naive functions`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, `${FOLDER}/${name}`);
    const expected = await readExpected(`${FOLDER}/${name}/expected.safetensors`);
    await assertAsExpected(model, expected);
    if (expected.long) await assertLong(model, expected.long);
  });
}

Deno.test("every checkpoint there is among them", async () => {
  const folders = await Array.fromAsync(
    Deno.readDir(FOLDER),
    ({ name, isDirectory }) => isDirectory ? [name] : [],
  );
  const asked = [...OF_TRANSFORMERS, ...OF_RWKV.map(([name]) => name), ...OF_FLA];
  assertEquals(folders.flat().sort(), asked.sort(), "the lists in tests/models/published_test.ts");
});

for (const scaling of ["linear", "dynamic", "yarn", "llama3"]) {
  Deno.test(`llama with ${scaling} rotary scaling: logits and greedy generation are those of the reference`, async () => {
    const gpu = await testGpu();
    await inCopy("llama", async (folder) => {
      await Deno.copyFile(`${FOLDER}/llama/config.${scaling}.json`, `${folder}/config.json`);
      using model = await loadModel(gpu, folder);
      const expected = await readExpected(`${FOLDER}/llama/expected.${scaling}.safetensors`);
      // Dynamic frequencies depend on how far has been read: see DynamicScaling.
      await assertAsExpected(model, expected, { segments: scaling !== "dynamic" });
    });
  });
}

for (
  const [name, path = name] of [
    ["llama_tied"],
    ["mamba"],
    ["mamba2_biased"],
    ["mamba2attn_ssm"],
    ["recurrent_gemma"],
    ["qwen3"],
    ["gemma3_text"],
    ["qwen3_5"],
    ["olmo_hybrid"],
    ["granitemoehybrid"],
    ["falcon_mamba"],
    ["falcon_h1"],
    ["nemotron_h"],
    ["lfm2"],
    ["rwkv6", RWKV_6],
    ["rwkv7", RWKV_7],
    ["rwkv6_hf"],
    ["rwkv6_fla"],
    ["rwkv7_fla"],
    ["gated_deltanet"],
    ["gated_deltanet_hybrid"],
    ["gla"],
    ["retnet"],
    ["delta_net"],
    ["hgrn2"],
    ["gated_deltaproduct"],
    ["kda"],
    ["hgrn"],
  ]
) {
  Deno.test(`${name} with weights in f16: logits are within 1 % of the reference`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, `${FOLDER}/${path}`, { dtype: "f16" });
    using exact = await loadModel(gpu, `${FOLDER}/${path}`);
    assert(weightBytes(model) < 0.6 * weightBytes(exact), "the weights take less memory");
    const { tokens, logits } = await readExpected(`${FOLDER}/${name}/expected.safetensors`);
    for (const [length, values] of logits) {
      using actual = model.forward(tokens.subarray(0, length));
      assertClose(await actual.read(), values, 1e-2, `logits of ${length} tokens`);
    }
  });
}

function weightBytes(model: Model): number {
  return [...model.parameters.values()].reduce((sum, { tensor }) => sum + tensor.bytes, 0);
}
