import { assert } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../../../", import.meta.url));
const [WIDTH, HIDDEN, LAYERS, VOCABULARY] = [1024, 2816, 12, 8192];
const MEGABYTE = 1e6;

/** A Llama whose file takes no room: it is a hole behind its header. */
async function writeSparseLlama(folder: string): Promise<{ largest: number; all: number }> {
  const layer = (index: number): [string, number[]][] => [
    [`model.layers.${index}.input_layernorm.weight`, [WIDTH]],
    [`model.layers.${index}.post_attention_layernorm.weight`, [WIDTH]],
    ...["q", "k", "v", "o"].map((name): [string, number[]] => [
      `model.layers.${index}.self_attn.${name}_proj.weight`,
      [WIDTH, WIDTH],
    ]),
    [`model.layers.${index}.mlp.gate_proj.weight`, [HIDDEN, WIDTH]],
    [`model.layers.${index}.mlp.up_proj.weight`, [HIDDEN, WIDTH]],
    [`model.layers.${index}.mlp.down_proj.weight`, [WIDTH, HIDDEN]],
  ];
  const shapes: [string, number[]][] = [
    ["model.embed_tokens.weight", [VOCABULARY, WIDTH]],
    ["model.norm.weight", [WIDTH]],
    ...Array.from({ length: LAYERS }, (_, index) => layer(index)).flat(),
  ];
  let [end, largest] = [0, 0];
  const header = Object.fromEntries(shapes.map(([name, shape]) => {
    const from = end;
    const bytes = shape.reduce((product, extent) => product * extent, 4);
    end += bytes;
    largest = Math.max(largest, bytes);
    return [name, { dtype: "F32", shape, data_offsets: [from, end] }];
  }));
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + text.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
  start.set(text, 8);
  const path = join(folder, "model.safetensors");
  await Deno.writeFile(path, start);
  await Deno.truncate(path, start.length + end);
  await Deno.writeTextFile(
    join(folder, "config.json"),
    JSON.stringify({
      architectures: ["LlamaForCausalLM"],
      hidden_size: WIDTH,
      intermediate_size: HIDDEN,
      num_attention_heads: 16,
      num_hidden_layers: LAYERS,
      vocab_size: VOCABULARY,
      tie_word_embeddings: true,
    }),
  );
  return { largest, all: end };
}

/** Loads a model and tells by how much the process grew at most; prints it, and what the GPU holds. */
const PROGRAM = `
  import { openGpu } from ${JSON.stringify(join(ROOT, "kernels", "gpu", "mod.ts"))};
  import { loadModel } from ${JSON.stringify(join(ROOT, "models", "mod.ts"))};
  const kilobytes = (name) =>
    Number(new RegExp(name + ":\\\\s+(\\\\d+) kB").exec(Deno.readTextFileSync("/proc/self/status"))[1]);
  const gpu = await openGpu();
  using warm = gpu.tensor([4], [1, 2, 3, 4]);
  await warm.read();
  const before = kilobytes("VmRSS");
  using model = await loadModel(gpu, Deno.args[0], { dtype: Deno.args[1] });
  await gpu.sync();
  console.log(1024 * (kilobytes("VmHWM") - before), gpu.memory.current, gpu.adapter.software);
`;

/** The share of the file's bytes that the GPU holds, at least. */
const SHARES = { f32: 1, f16: 0.5, int8: 8.5 / 32, int4: 4.5 / 32 };

for (const [dtype, share] of Object.entries(SHARES)) {
  Deno.test(
    `loading in ${dtype} holds the largest tensor and 200 MB at most, not the model`,
    { ignore: Deno.build.os !== "linux" },
    () => checkHost(dtype, share),
  );
}

async function checkHost(dtype: string, share: number): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const { largest, all } = await writeSparseLlama(folder);
    const program = join(folder, "program.ts");
    await Deno.writeTextFile(program, PROGRAM);
    const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--no-check",
        "--config",
        join(ROOT, "deno.json"),
        program,
        folder,
        dtype,
      ],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    const [grown, held, software] = new TextDecoder().decode(stdout).trim().split(" ");
    assert(Number(held) >= share * all && all > largest + 400 * MEGABYTE);
    // A software adapter's memory is the process's.
    const host = Number(grown) - (software === "true" ? Number(held) : 0);
    assert(host < largest + 200 * MEGABYTE, `${host} bytes beside the ${held} on the GPU`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
