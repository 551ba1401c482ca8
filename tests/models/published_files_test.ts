import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  describeModel,
  type LayerConfiguration,
  loadModel,
  type ModelDescription,
  openWeights,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../models/mod.ts";
import { assertClose, inFolder, testGpu } from "../testing.ts";
import {
  assertAsExpected,
  changeConfig,
  changeTensors,
  FOLDER,
  inCopy,
  readExpected,
  RWKV_6,
  RWKV_7,
} from "./published_checkpoints.ts";

Deno.test("a tied head may be stored besides, and frequencies that are computed", () =>
  inCopy("llama_tied", async (folder) => {
    const gpu = await testGpu();
    await changeTensors(folder, (tensors) => {
      const embedding = tensors.get("model.embed_tokens.weight")!;
      tensors.set("lm_head.weight", embedding);
      tensors.set("model.layers.0.self_attn.rotary_emb.inv_freq", {
        shape: [6],
        data: new Float32Array(6),
      });
    });
    using model = await loadModel(gpu, folder);
    const { tokens, logits } = await readExpected(`${FOLDER}/llama_tied/expected.safetensors`);
    using actual = model.forward(tokens.subarray(0, 2));
    assertClose(await actual.read(), logits.get(2)!, 1e-4, "logits");
  }));

Deno.test("older configs say the same: rope_scaling with a type, positions beside it", () =>
  inCopy("llama", async (folder) => {
    const gpu = await testGpu();
    await changeConfig(folder, ({ rope_parameters: _, architectures: __, ...config }) => ({
      ...config,
      rope_theta: 10_000,
      rope_scaling: { type: "linear", factor: 4 },
    }));
    using model = await loadModel(gpu, folder);
    await assertAsExpected(
      model,
      await readExpected(`${FOLDER}/llama/expected.linear.safetensors`),
    );
  }));

Deno.test("Python's Infinity in a config is read", () =>
  inCopy("mamba2", async (folder) => {
    const gpu = await testGpu();
    const path = `${folder}/config.json`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(
      path,
      text.replace(
        /"time_step_limit": \[[^\]]*\]/,
        '"time_step_limit": [0.0, Infinity]',
      ),
    );
    using model = await loadModel(gpu, folder);
    assertEquals(model.configuration.layers.map(({ mixer }) => "stepLimit" in mixer!), [
      false,
      false,
    ]);
  }));

Deno.test("missing, extra and misshapen tensors are listed by their names in the checkpoint", () =>
  inCopy("mamba2", async (folder) => {
    const gpu = await testGpu();
    await changeTensors(folder, (tensors) => {
      tensors.delete("backbone.layers.1.mixer.A_log");
      tensors.delete("backbone.norm_f.weight");
      tensors.set("backbone.layers.2.mixer.D", { shape: [8], data: new Float32Array(8) });
      tensors.set("backbone.layers.0.mixer.D", { shape: [7], data: new Float32Array(7) });
    });
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      "as a mamba2 model: it lacks backbone.layers.1.mixer.A_log, backbone.norm_f.weight; it has tensors of another model: backbone.layers.2.mixer.D; backbone.layers.0.mixer.D has shape [7], not [8]",
    );
  }));

Deno.test("an untied head that is not stored is missed", () =>
  inCopy("llama", async (folder) => {
    const gpu = await testGpu();
    await changeTensors(folder, (tensors) => tensors.delete("lm_head.weight"));
    await assertRejects(() => loadModel(gpu, folder), Error, "it lacks lm_head.weight");
  }));

Deno.test("a config that is not supported, or says too little, is refused by key", () =>
  inCopy("llama", async (folder) => {
    const gpu = await testGpu();
    const refuses = async (changes: Record<string, unknown>, message: string): Promise<void> => {
      await Deno.copyFile(`${FOLDER}/llama/config.json`, `${folder}/config.json`);
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      await assertRejects(() => loadModel(gpu, folder), Error, message);
    };
    await refuses({ hidden_act: "relu" }, '"hidden_act" must be one of silu');
    await refuses({ hidden_size: null }, 'it must give "hidden_size"');
    await refuses({ vocab_size: "48" }, '"vocab_size" must be a number: current value is "48"');
    await refuses(
      { rope_parameters: { rope_type: "longrope", factor: 2 } },
      '"rope_type" must be one of default, linear, dynamic, yarn, llama3',
    );
    await refuses({ architectures: ["BertModel"] }, '"architectures": ["LlamaForCausalLM"]');
  }));

Deno.test("mixtures of experts and latent attention are refused by name, with what is supported", () =>
  inFolder(async (folder) => {
    const refuses = async (config: Record<string, unknown>, message: string): Promise<void> => {
      await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
      const error = await assertRejects(() => describeModel(folder), Error, message);
      assertStringIncludes(error.message, '"architectures": ["Qwen3ForCausalLM"]');
    };
    const unsupported = "which is not supported: supported are";
    await refuses(
      { architectures: ["Qwen3MoeForCausalLM"], model_type: "qwen3_moe", num_experts: 128 },
      `it has a mixture of experts ("num_experts" is 128), ${unsupported}`,
    );
    await refuses(
      { model_type: "mixtral", num_local_experts: 8 },
      `it has a mixture of experts ("num_local_experts" is 8), ${unsupported}`,
    );
    await refuses(
      { architectures: ["Qwen3_5MoeForConditionalGeneration"], text_config: { num_experts: 256 } },
      `it has a mixture of experts ("num_experts" is 256), ${unsupported}`,
    );
    await refuses(
      { model_type: "dbrx", ffn_config: { hidden_size: 64, moe_num_experts: 4 } },
      `it has a mixture of experts ("moe_num_experts" is 4), ${unsupported}`,
    );
    // As a default configuration of transformers is saved.
    await refuses(
      { model_type: "dots1", moe_intermediate_size: 1408, n_routed_experts: null },
      `it has a mixture of experts ("moe_intermediate_size" is 1408), ${unsupported}`,
    );
    await refuses(
      { architectures: ["MiniCPM3ForCausalLM"], kv_lora_rank: 256 },
      `it has latent attention ("kv_lora_rank" is 256), ${unsupported}`,
    );
    // Families of which some models have experts, and some have none.
    const refusesChanged = async (
      name: string,
      changes: Record<string, unknown>,
      message: string,
    ): Promise<void> => {
      await Deno.copyFile(`${FOLDER}/${name}/config.json`, `${folder}/config.json`);
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      await assertRejects(() => describeModel(folder), Error, message);
    };
    await refusesChanged(
      "granitemoehybrid",
      { num_local_experts: 64 },
      '"num_local_experts" must be 0, as mixtures of experts are not supported',
    );
    await refusesChanged(
      "qwen3",
      { num_experts: 8 },
      'it has a mixture of experts ("num_experts" is 8), which is not supported: "architectures": ["Qwen3ForCausalLM"] is where it has none',
    );
    for (const none of [0, 1, null]) {
      await Deno.copyFile(`${FOLDER}/qwen3/config.json`, `${folder}/config.json`);
      await changeConfig(folder, (config) => ({ ...config, num_experts: none }));
      assertEquals((await describeModel(folder)).configuration.family, "qwen3");
    }
    await refusesChanged(
      "nemotron_h",
      { layers_block_type: ["linear_attention", "moe"] },
      "some of its layers are mixtures of experts, which are not supported",
    );
  }));

Deno.test("what a config in fla's layout leaves out is fla's default", async () => {
  const defaults: Record<string, Record<string, unknown>> = JSON.parse(
    await Deno.readTextFile(`${FOLDER}/fla_defaults.json`),
  );
  const folder = await Deno.makeTempDir();
  const describe = async (config: Record<string, unknown>): Promise<ModelDescription> => {
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
    return await describeModel(folder);
  };
  try {
    assertEquals(Object.keys(defaults).length, 9);
    for (const [name, said] of Object.entries(defaults)) {
      const { configuration, trainedLength } = await describe({ architectures: [name] });
      const full = await describe({ ...said, architectures: [name] });
      assertEquals(configuration, full.configuration, name);
      assertEquals(trainedLength, undefined);
      assertEquals(full.trainedLength, 2048);
      // Two thirds of 2,048 · hidden_ratio up to a multiple of 256, as fla's checkpoints of 1.3B have it.
      assertEquals(
        configuration.layers[0].channelMixer?.hidden,
        name === "RetNetForCausalLM" ? 2816 : 5632,
      );
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fla's older checkpoints hold a perceptron's gate and what it gates in one tensor", () =>
  inCopy("gla", async (folder) => {
    const gpu = await testGpu();
    const expected = await readExpected(`${FOLDER}/gla/expected.safetensors`);
    await changeTensors(folder, (tensors) => {
      for (const layer of [0, 1]) {
        const [gate, up] = ["gate", "up"].map((name) =>
          `model.layers.${layer}.mlp.${name}_proj.weight`
        );
        const stored = [gate, up].map((name) => tensors.get(name)!);
        tensors.set(gate, {
          shape: [2 * stored[0].shape[0], stored[0].shape[1]],
          data: Float32Array.from(stored.flatMap(({ data }) => Array.from(data))),
        });
        tensors.delete(up);
      }
    });
    using model = await loadModel(gpu, folder);
    using actual = model.forward(expected.tokens.subarray(0, 2));
    assertClose(await actual.read(), expected.logits.get(2)!, 1e-4, "logits");
    await changeTensors(folder, (tensors) => tensors.delete("model.layers.0.mlp.down_proj.weight"));
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      "it lacks model.layers.0.mlp.up_proj.weight, model.layers.0.mlp.down_proj.weight, model.layers.1.mlp.up_proj.weight",
    );
  }));

Deno.test("a setting of fla's that is not supported is refused with its value", async () => {
  const gpu = await testGpu();
  const refused: [name: string, changes: Record<string, unknown>, message: string][] = [
    ["gla", { hidden_act: "powlu" }, '"hidden_act" must be one of swish: current value is "powlu"'],
    ["gla", { attnres_block_size: 4 }, '"attnres_block_size" must be null'],
    ["gla", { elementwise_affine: false }, "supported: current value is false"],
    ["gla", { gate_logit_normalizer: 8 }, '"gate_logit_normalizer" must be 16'],
    ["gla", { feature_map: "elu" }, '"feature_map" must be one of relu, '],
    ["gla", { num_kv_heads: 3 }, '"num_kv_heads" must divide "num_heads" (2): current value is 3'],
    ["gla", { num_heads: 3 }, '"expand_k" must give "hidden_size" (32) times it in 3 equal heads'],
    ["gla", { attn: { layers: [2], num_heads: 4 } }, '"attn": "layers" must be numbers of layers'],
    ["gla", { attn: { layers: [1] } }, '"attn": it must give "num_heads"'],
    ["retnet", { feature_map: "elu" }, '"feature_map" must be one of relu, '],
    ["delta_net", { qk_norm: "sum" }, '"qk_norm" must be one of l2: current value is "sum"'],
    ["delta_net", { conv_bias: true }, '"conv_bias" must be false'],
    ["gated_deltanet", { num_v_heads: 3 }, '"num_v_heads" must be a multiple of "num_heads" (2)'],
  ];
  for (const [name, changes, message] of refused) {
    await inCopy(name, async (folder) => {
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      await assertRejects(() => loadModel(gpu, folder), Error, message);
    });
  }
});

Deno.test("a tensor that is larger than the adapter allows in a binding is cut by rows", () =>
  inCopy("llama", async (folder) => {
    const gpu = await testGpu();
    const vocabulary = Math.floor(gpu.bindingLimit / (32 * 4)) + 1;
    await changeConfig(folder, (config) => ({ ...config, vocab_size: vocabulary }));
    const path = `${folder}/model.safetensors`;
    const { tensors } = readSafetensors(await Deno.readFile(path), path);
    let offset = 0;
    const header = Object.fromEntries(
      [...tensors].map(([name, { shape }]) => {
        const actual = /embed_tokens|lm_head/.test(name) ? [vocabulary, 32] : shape;
        const end = offset + actual.reduce((product, extent) => product * extent, 4);
        const entry = { dtype: "F32", shape: actual, data_offsets: [offset, end] };
        offset = end;
        return [name, entry];
      }),
    );
    const text = new TextEncoder().encode(JSON.stringify(header));
    const start = new Uint8Array(8 + text.byteLength);
    new DataView(start.buffer).setBigUint64(0, BigInt(text.byteLength), true);
    start.set(text, 8);
    await Deno.writeFile(path, start);
    // A file with a hole takes no room.
    await Deno.truncate(path, start.byteLength + offset);
    using model = await loadModel(gpu, folder);
    for (const name of ["embedding.weight", "head.weight"]) {
      const { blocks } = model.parameters.get(name)!;
      assertEquals(blocks.map(({ shape }) => shape), [[vocabulary - 1, 32], [1, 32]]);
    }
    using logits = model.forward([vocabulary - 1]);
    assertEquals(logits.shape, [1, vocabulary]);
    assertEquals((await logits.read()).findIndex((value) => value !== 0), -1);
  }));

Deno.test("what a .pth holds is read from its tensors' names and shapes, in its file or its folder", () =>
  inFolder(async (folder) => {
    const file = "RWKV-x070-Tiny-20261124-ctx512.pth";
    await Deno.copyFile(`${FOLDER}/${RWKV_7}`, `${folder}/${file}`);
    const described = await describeModel(folder);
    assertEquals(described.trainedLength, 512);
    assertEquals(described.configuration, {
      family: "rwkv7",
      vocabulary: 48,
      width: 24,
      norm: "layer",
      normEpsilon: 1e-5,
      embeddingNorm: true,
      layers: [0, 1, 2].map((index): LayerConfiguration => ({
        mixer: {
          kind: "rwkv7",
          heads: 3,
          headDim: 8,
          mixesValues: index > 0,
          ranks: { decay: 6, a: 5, valueMix: 4, gate: 9 },
        },
        channelMixer: { kind: "rwkv7", hidden: 96 },
      })),
    });
    // An empty config says nothing; that of another model beside a file that is named is not its own.
    for (const config of ["{}", await Deno.readTextFile(`${FOLDER}/rwkv6_hf/config.json`)]) {
      await Deno.writeTextFile(`${folder}/config.json`, config);
      assertEquals(await describeModel(`${folder}/${file}`), described);
    }
    const { layers } = (await describeModel(`${FOLDER}/${RWKV_6}`)).configuration;
    assertEquals(layers[1], {
      mixer: { kind: "rwkv6", heads: 4, headDim: 8, shiftRank: 5, decayRank: 7 },
      channelMixer: { kind: "rwkv6", hidden: 84 },
    });
  }));

Deno.test("of several .pth in a folder one must be named; one that says nothing is refused", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    await Deno.copyFile(`${FOLDER}/${RWKV_6}`, `${folder}/six.pth`);
    await Deno.copyFile(`${FOLDER}/${RWKV_7}`, `${folder}/seven.pth`);
    await assertRejects(
      () => loadModel(gpu, folder),
      Error,
      "it holds several files: give the path of one of seven.pth, six.pth",
    );
    using six = await loadModel(gpu, `${folder}/six.pth`);
    assertEquals(six.configuration.family, "rwkv6");
    const other = `${folder}/other.pth`;
    await Deno.copyFile(`${FOLDER}/../torch_module/tiny.pth`, other);
    await assertRejects(
      () => loadModel(gpu, other),
      Error,
      `Cannot read ${other}: there is no config.json beside it, and none of blocks.0.att.time_maa_w1, blocks.0.att.r_k in it`,
    );
  }));

Deno.test("missing, extra and misshapen tensors of an RWKV are listed, and those that tell its sizes", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const path = `${folder}/model.safetensors`;
    using weights = await openWeights(`${FOLDER}/${RWKV_6}`);
    const tensors = new Map<string, StoredTensor>();
    for (const [name, { shape }] of weights.tensors) {
      tensors.set(name, { shape, data: await weights.readFloats(name) });
    }
    const rejects = async (message: string): Promise<void> => {
      await Deno.writeFile(path, writeSafetensors(tensors));
      await assertRejects(() => loadModel(gpu, folder), Error, message);
    };
    tensors.set("blocks.1.att.time_state", { shape: [4, 8, 8], data: new Float32Array(256) });
    tensors.set("blocks.1.att.time_decay", { shape: [1, 1, 31], data: new Float32Array(31) });
    tensors.delete("blocks.0.ln0.bias");
    await rejects(
      "as a rwkv6 model: it lacks blocks.0.ln0.bias; it has tensors of another model: blocks.1.att.time_state; blocks.1.att.time_decay has shape [1,1,31], not [32]",
    );
    tensors.delete("blocks.0.att.time_faaaa");
    await rejects(`Cannot read ${path}: it lacks blocks.0.att.time_faaaa`);
  }));

Deno.test("an RWKV config that is not supported is refused by key", () =>
  inFolder(async (folder) => {
    const refuses = async (
      name: string,
      changes: Record<string, unknown>,
      message: string,
    ): Promise<void> => {
      await Deno.copyFile(`${FOLDER}/${name}/config.json`, `${folder}/config.json`);
      await changeConfig(folder, (config) => ({ ...config, ...changes }));
      await assertRejects(() => describeModel(folder), Error, message);
    };
    await refuses("rwkv6_hf", { layer_norm_epsilon: 1e-6 }, '"layer_norm_epsilon" must be 1e-5');
    await refuses("rwkv6_fla", { expand_k: null }, '"expand_k" must be 1: current value is 0.5');
    await refuses("rwkv7_fla", { norm_bias: false }, '"norm_bias" must be true');
    await refuses("rwkv7_fla", { attn: { layers: [1] } }, '"attn" must be null');
    await refuses("rwkv7_fla", { hidden_act: "relu" }, '"hidden_act" must be one of sqrelu');
  }));
