import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { describeModel, loadModel } from "../../models/mod.ts";
import { assertClose, inFolder, testGpu } from "../testing.ts";
import {
  changeConfig,
  changeTensors,
  FOLDER,
  inCopy,
  readExpected,
} from "./published_checkpoints.ts";

type Config = Record<string, unknown>;

/** A config without some of its fields. */
function without(config: Config, ...keys: readonly string[]): Config {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !keys.includes(key)));
}

/** What else a config may say of the same model: as published, or as older versions wrote it. */
const SPELLINGS: readonly [name: string, what: string, change: (config: Config) => Config][] = [
  [
    "gemma3_text",
    "rotary bases beside one another, and every third layer without a window",
    (config) => ({
      ...without(config, "rope_parameters", "layer_types"),
      rope_theta: 1e6,
      rope_local_base_freq: 1e3,
      rope_scaling: { rope_type: "linear", factor: 8 },
      sliding_window_pattern: 3,
    }),
  ],
  [
    "gemma2",
    "windows in every other layer where nothing says which",
    (config) => without(config, "layer_types"),
  ],
  ["qwen2", "windows from a layer on", (config) => without(config, "layer_types")],
  [
    "smollm3",
    "positions in every layer but the second",
    (config) => ({ ...without(config, "no_rope_layer_interval"), no_rope_layers: [1, 0, 1] }),
  ],
  [
    "smollm3",
    "positions by an interval",
    (config) => without(config, "no_rope_layers"),
  ],
  ["qwen3_5_text", "attention by an interval", (config) => ({
    ...without(config, "layer_types"),
    full_attention_interval: 2,
  })],
  [
    "granitemoehybrid",
    "older words for its layers",
    (config) => ({
      ...without(config, "layer_types"),
      layers_block_type: ["mamba", "attention", "mamba"],
      position_embedding_type: "nope",
      mamba_d_head: "auto",
    }),
  ],
  [
    "nemotron_h",
    "a letter for each layer",
    (config) => ({ ...without(config, "layers_block_type"), hybrid_override_pattern: "M-*-" }),
  ],
  [
    "lfm2",
    "which layers are attention, and its own words for widths and tied heads",
    (config) => ({
      ...without(config, "layer_types", "intermediate_size", "tie_word_embeddings"),
      full_attn_idxs: [1],
      block_ff_dim: 48,
      tie_embedding: true,
    }),
  ],
];

for (const [name, what, change] of SPELLINGS) {
  Deno.test(`${name}: a config says the same by ${what}`, () =>
    inFolder(async (folder) => {
      await Deno.copyFile(`${FOLDER}/${name}/config.json`, `${folder}/config.json`);
      const expected = await describeModel(folder);
      await changeConfig(folder, change);
      assertEquals(await describeModel(folder), expected);
    }));
}

const REFUSED: readonly [name: string, changes: Config, message: string][] = [
  [
    "qwen3",
    { layer_types: ["full_attention"] },
    '"layer_types" must be a list of 3, each one of full_attention, sliding_attention',
  ],
  ["qwen3", { layer_types: ["full_attention", "chunked", "full_attention"] }, "each one of full_"],
  ["qwen2", { num_key_value_heads: 3 }, '"num_key_value_heads" must divide "num_attention_heads"'],
  ["smollm3", { no_rope_layers: [1, 0] }, '"no_rope_layers" must be a list of 3'],
  ["gemma2", { use_bidirectional_attention: true }, '"use_bidirectional_attention" must be false'],
  ["gemma2", { attn_logit_softcapping: -1 }, '"attn_logit_softcapping" must be greater than 0'],
  ["gemma3", { text_config: null }, 'it must give "text_config"'],
  [
    "gemma3",
    { text_config: { hidden_size: 8 } },
    '"text_config": it must give "num_hidden_layers"',
  ],
  ["qwen3_5", { text_config: { vocab_size: 8 } }, '"text_config": it must give "hidden_size"'],
  ["qwen3_5_text", { linear_num_value_heads: 3, linear_num_key_heads: 2 }, "must divide"],
  ["olmo_hybrid", { linear_num_key_heads: 3 }, '"linear_num_key_heads" must divide'],
  ["granitemoehybrid", { mamba_n_heads: 7 }, "must be the inner width of 64: current values are 7"],
  ["bamba", { mamba_d_head: 4 }, "must be the inner width of 64: current values are 8 and 4"],
  ["falcon_h1", { ssm_multipliers: [1, 2] }, '"ssm_multipliers" must be a list of 5'],
  ["nemotron_h", { layers_block_type: null }, 'it must give "layers_block_type" or "hybrid_'],
  ["nemotron_h", { mlp_hidden_act: "silu" }, '"mlp_hidden_act" must be one of relu2'],
  ["hgrn", { expand_ratio: 2 }, '"expand_ratio" must be 1 with lower bounds'],
  ["kda", { num_v_heads: 3 }, '"num_heads" must divide "num_v_heads" (3): current value is 2'],
  ["gated_deltaproduct", { num_householder: 0 }, '"num_householder" must be a positive integer'],
  ["transformer_fla", { num_kv_heads: 3 }, '"num_kv_heads" must divide "num_heads" (4)'],
];

for (const [name, changes, message] of REFUSED) {
  Deno.test(`${name}: ${JSON.stringify(changes)} is refused by key`, () =>
    inFolder(async (folder) => {
      await Deno.copyFile(`${FOLDER}/${name}/config.json`, `${folder}/config.json`);
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      await assertRejects(() => describeModel(folder), Error, message);
    }));
}

Deno.test("KDA's lower bound holds whatever safe_gate says, as in fla's kernels", () =>
  inCopy("kda_varied", async (folder) => {
    const gpu = await testGpu();
    const { tokens, logits } = await readExpected(`${FOLDER}/kda_varied/expected.safetensors`);
    const read = async (changes: Record<string, unknown>): Promise<Float32Array> => {
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      using model = await loadModel(gpu, folder);
      using actual = model.forward(tokens.subarray(0, 250));
      return await actual.read();
    };
    assertClose(await read({ safe_gate: false }), logits.get(250)!, 1e-4, "safe_gate: false");
    const unbounded = await read({ lower_bound: null });
    assertThrows(() => assertClose(unbounded, logits.get(250)!, 1e-2, "without a bound"));
  }));

Deno.test("OLMo Hybrid's norms are found under OLMo's names, as transformers saves them, or as it has them", () =>
  inCopy("olmo_hybrid", async (folder) => {
    const gpu = await testGpu();
    const { tokens, logits } = await readExpected(`${FOLDER}/olmo_hybrid/expected.safetensors`);
    const renames = [
      // In the layer of attention, whose norm transformers renames when it saves.
      [/(layers\.3\.)feedforward_layer_norm/, "$1post_attention_layernorm"],
      [/attention_layer_norm/, "input_layernorm"],
      [/feedforward_layer_norm/, "post_attention_layernorm"],
    ] as const;
    for (const [from, to] of renames) {
      await changeTensors(folder, (tensors) => {
        for (const [name, tensor] of [...tensors]) {
          tensors.delete(name);
          tensors.set(name.replace(from, to), tensor);
        }
      });
      // Renamed one after the other, the second leaves a mixture that no layout is.
      if (to === "input_layernorm") continue;
      using model = await loadModel(gpu, folder);
      using actual = model.forward(tokens.subarray(0, 2));
      assertClose(await actual.read(), logits.get(2)!, 1e-4, "logits");
    }
  }));

Deno.test("Gemma 3's models of text are found under the names that transformers has them by", () =>
  inCopy("gemma3", async (folder) => {
    const gpu = await testGpu();
    const { tokens, logits } = await readExpected(`${FOLDER}/gemma3/expected.safetensors`);
    await changeTensors(folder, (tensors) => {
      for (const [name, tensor] of [...tensors]) {
        tensors.delete(name);
        tensors.set(
          name.replace(
            /^language_model\.model|^/,
            (found) => found ? "model.language_model" : "model.",
          ),
          tensor,
        );
      }
    });
    using model = await loadModel(gpu, folder);
    using actual = model.forward(tokens.subarray(0, 2));
    assertClose(await actual.read(), logits.get(2)!, 1e-4, "logits");
  }));
