import { join } from "@std/path";

/** How a file's elements may be stored, by safetensors' names. */
export type StoredFloatName = "F32" | "F16" | "BF16";

const [WIDTH, HIDDEN, VOCABULARY] = [1024, 2816, 32_000];
const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
/** Elements that are drawn; a file repeats them. */
const DRAWN = 2 ** 20;

/** The names and shapes of a Llama's tensors. */
function shapesOf(layers: number): [string, number[]][] {
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
  return [
    ["model.embed_tokens.weight", [VOCABULARY, WIDTH]],
    ["model.norm.weight", [WIDTH]],
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
  ];
}

function count(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Elements between −0.05 and 0.05, as they are stored. */
function drawElements(stored: StoredFloatName): Uint8Array<ArrayBuffer> {
  let seed = 1;
  const values = Float32Array.from({ length: DRAWN }, () => {
    seed = Math.imul(seed, 1664525) + 1013904223 >>> 0;
    return 0.1 * (seed / 2 ** 32 - 0.5);
  });
  if (stored === "F32") return new Uint8Array(values.buffer);
  if (stored === "F16") return new Uint8Array(new Float16Array(values).buffer);
  const words = new Uint32Array(values.buffer);
  return new Uint8Array(Uint16Array.from(words, (word) => word >>> 16).buffer);
}

/** Writes a Llama of random weights into a folder, whose file has about so many bytes. */
export async function writeLlama(
  folder: string,
  stored: StoredFloatName,
  bytes: number,
): Promise<{ largest: number; all: number }> {
  const sizeOf = (layers: number): number =>
    shapesOf(layers).reduce((sum, [, shape]) => sum + BYTES[stored] * count(shape), 0);
  const layers = Math.round((bytes - sizeOf(0)) / (sizeOf(1) - sizeOf(0)));
  let [end, largest] = [0, 0];
  const header = Object.fromEntries(
    shapesOf(layers).map(([name, shape]) => {
      const from = end;
      end += BYTES[stored] * count(shape);
      largest = Math.max(largest, end - from);
      return [name, { dtype: stored, shape, data_offsets: [from, end] }];
    }),
  );
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = new Uint8Array(8 + text.length);
  new DataView(start.buffer).setBigUint64(0, BigInt(text.length), true);
  start.set(text, 8);
  const drawn = drawElements(stored);
  using file = await Deno.create(join(folder, "model.safetensors"));
  await writeAll(file, start);
  for (let written = 0; written < end; written += drawn.length) {
    await writeAll(file, drawn.subarray(0, Math.min(drawn.length, end - written)));
  }
  await Deno.writeTextFile(
    join(folder, "config.json"),
    JSON.stringify({
      architectures: ["LlamaForCausalLM"],
      hidden_size: WIDTH,
      intermediate_size: HIDDEN,
      num_attention_heads: 16,
      num_hidden_layers: layers,
      vocab_size: VOCABULARY,
      tie_word_embeddings: true,
    }),
  );
  return { largest, all: end };
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await file.write(bytes.subarray(written));
  }
}
