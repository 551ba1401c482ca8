// Tiny checkpoints of random weights in the layouts of published ones, in place of these.
import { dirname, join } from "@std/path";
import { type StoredTensor, writeSafetensors } from "../../models/mod.ts";
import { openWeights } from "../../models/checkpoints/weights.ts";
import { ROOT } from "./process.ts";

const GOLDEN = join(ROOT, "tests", "golden", "checkpoints");
const TOKENIZER = join(GOLDEN, "tokenizer_bytelevel");
/** Tokens of the tokenizer; a multiple of 16, which some layouts pad to. */
const VOCABULARY = 304;

/** Copies the tokenizer's files into a folder. */
export async function writeTokenizer(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TOKENIZER, name), join(folder, name));
  }
}

/**
 * Writes one of the golden checkpoints into a folder, with as many tokens as the tokenizer has.
 *
 * @param layout Its folder in `tests/golden/checkpoints/published`.
 * @param options.tokenizer Whether its tokenizer stands beside it.
 * @param options.attention A layer of flash-linear-attention's that is attention in place of its mixer.
 */
export async function writeStandIn(
  layout: string,
  folder: string,
  { tokenizer = true, attention }: {
    readonly tokenizer?: boolean;
    readonly attention?: number;
  } = {},
): Promise<void> {
  const golden = join(GOLDEN, "published", layout);
  const described = JSON.parse(await Deno.readTextFile(join(golden, "config.json")));
  const files = await Array.fromAsync(Deno.readDir(golden), ({ name }) => name);
  const file = files.find((name) => name === "model.safetensors" || name === "pytorch_model.bin")!;
  using weights = await openWeights(join(golden, file));
  const tensors = new Map<string, StoredTensor>();
  let state = 1;
  const next = (): number => (state = Math.imul(state, 48271) >>> 0) / 2 ** 32 - 0.5;
  const mixer = `model.layers.${attention}.attn.`;
  for (const [name, { shape }] of weights.tensors) {
    if (name.startsWith(mixer)) continue;
    // The embedding and the head, whose first axis is the vocabulary.
    const isOfTokens = shape.length === 2 && /embed|(^|\.)(lm_)?head\.weight$/.test(name);
    tensors.set(name, {
      shape: isOfTokens ? [VOCABULARY, shape[1]] : shape,
      data: isOfTokens
        ? Float32Array.from({ length: VOCABULARY * shape[1] }, next)
        : await weights.readFloats(name),
    });
  }
  const heads = 4;
  const { hidden_size: width } = described;
  if (attention !== undefined) {
    for (const name of ["q_proj", "k_proj", "v_proj", "o_proj"]) {
      const data = Float32Array.from({ length: width * width }, next);
      tensors.set(`${mixer}${name}.weight`, { shape: [width, width], data });
    }
  }
  const hybrid = attention === undefined
    ? {}
    : { attn: { layers: [attention], num_heads: heads, num_kv_heads: heads, window_size: null } };
  if (tokenizer) await writeTokenizer(folder);
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(
    join(folder, "config.json"),
    JSON.stringify({ ...described, vocab_size: VOCABULARY, ...hybrid }),
  );
  // Half of the tokens end a reply: what models of random weights say is not worth waiting for.
  const ends = Array.from({ length: VOCABULARY / 2 }, (_, i) => 2 * i);
  await Deno.writeTextFile(
    join(folder, "generation_config.json"),
    JSON.stringify({ eos_token_id: ends }),
  );
  await Deno.writeFile(join(folder, "model.safetensors"), writeSafetensors(tensors));
}

/** Writes the paper's eight checkpoints in small into a folder, by owner and name. */
export async function writePaperStandIns(folder: string): Promise<void> {
  const owned = { tokenizer: false }; // state-spaces publishes its checkpoints without one
  await writeTokenizer(join(folder, "EleutherAI", "gpt-neox-20b"));
  for (
    const [layout, name, options] of [
      ["mamba2_ssm", "state-spaces/mamba2-2.7b", owned],
      ["mamba2attn_ssm", "state-spaces/mamba2attn-2.7b", owned],
      ["transformerpp_ssm", "state-spaces/transformerpp-2.7b", owned],
      ["rwkv6_hf", "RWKV/rwkv-6-world-3b-v2.1", {}],
      ["llama", "princeton-nlp/Sheared-LLaMA-2.7B", {}],
      ["llama", "Sheared-LLaMA-2.7B-ShareGPT", {}], // by its name alone
      ["recurrent_gemma", "google/recurrentgemma-2b", {}],
      ["recurrent_gemma", "google/recurrentgemma-2b-it", {}],
    ] as const
  ) {
    const place = join(folder, name);
    await Deno.mkdir(dirname(place), { recursive: true });
    await writeStandIn(layout, place, options);
  }
}
