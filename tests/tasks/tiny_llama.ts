import { join } from "@std/path";
import { type StoredTensor, writeSafetensors } from "../../models/mod.ts";
import { ROOT } from "./process.ts";

/** The folder of the byte-level tokenizer. */
export const TOKENIZER = join(ROOT, "tests", "golden", "checkpoints", "tokenizer_bytelevel");
/** How many tokens it has. */
export const VOCABULARY = 300;
/** The model's width. */
export const WIDTH = 16;
const HIDDEN = 32;

/** A Llama of one layer over the vocabulary of the byte-level tokenizer, as transformers saves it. */
export async function writeLlama(folder: string, vocabulary = VOCABULARY): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(join(folder, "config.json"), llamaConfig(vocabulary));
  await Deno.writeFile(join(folder, "model.safetensors"), writeSafetensors(llamaTensors()));
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(join(TOKENIZER, name), join(folder, name));
  }
}

function llamaConfig(vocabulary: number): string {
  return JSON.stringify({
    architectures: ["LlamaForCausalLM"],
    hidden_size: WIDTH,
    intermediate_size: HIDDEN,
    num_attention_heads: 2,
    num_hidden_layers: 1,
    max_position_embeddings: 128,
    rms_norm_eps: 1e-5,
    vocab_size: vocabulary,
    tie_word_embeddings: true,
  });
}

function llamaTensors(): Map<string, StoredTensor> {
  const layer = "model.layers.0.";
  const shapes: Record<string, number[]> = {
    "model.embed_tokens.weight": [VOCABULARY, WIDTH],
    [`${layer}self_attn.q_proj.weight`]: [WIDTH, WIDTH],
    [`${layer}self_attn.k_proj.weight`]: [WIDTH, WIDTH],
    [`${layer}self_attn.v_proj.weight`]: [WIDTH, WIDTH],
    [`${layer}self_attn.o_proj.weight`]: [WIDTH, WIDTH],
    [`${layer}mlp.gate_proj.weight`]: [HIDDEN, WIDTH],
    [`${layer}mlp.up_proj.weight`]: [HIDDEN, WIDTH],
    [`${layer}mlp.down_proj.weight`]: [WIDTH, HIDDEN],
    [`${layer}input_layernorm.weight`]: [WIDTH],
    [`${layer}post_attention_layernorm.weight`]: [WIDTH],
    "model.norm.weight": [WIDTH],
  };
  let state = 1;
  const next = (): number => (state = Math.imul(state, 48271) >>> 0) / 2 ** 32 - 0.5;
  return new Map(
    Object.entries(shapes).map(([name, shape]) => [name, {
      shape,
      data: Float32Array.from({ length: shape.reduce((product, n) => product * n, 1) }, next),
    }]),
  );
}
