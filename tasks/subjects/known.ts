import { isHubModel, parseHubModel } from "../../models/mod.ts";

/** What is known of a checkpoint that its files do not say. */
export interface KnownCheckpoint {
  /** The longest length that it was trained at, in tokens. */
  readonly trainLength: number;
  /** The repository on the hub that holds its tokenizer, where it has none of its own. */
  readonly tokenizer?: { readonly owner: string; readonly name: string };
}

/** Mamba's checkpoints come without a tokenizer, and all were trained at 2,048 tokens. */
const STATE_SPACES: KnownCheckpoint = {
  trainLength: 2048,
  tokenizer: { owner: "EleutherAI", name: "gpt-neox-20b" },
};

/** By `owner/name`, or by `name` alone where it is a folder. */
const KNOWN: readonly (readonly [name: RegExp, known: KnownCheckpoint])[] = [
  [/^(state-spaces\/)?(mamba|mamba2|mamba2attn|transformerpp)-[\d.]+[mb]$/, STATE_SPACES],
  [/^((RWKV|BlinkDL)\/)?rwkv-?[67]-world/i, { trainLength: 4096 }],
  [/^(google\/)?recurrentgemma-/, { trainLength: 8192 }],
];

/**
 * What is known of a published checkpoint by its name: Gu & Dao 2023, section 4.2; Dao & Gu 2024,
 * section 9; Peng et al. 2024, section 5; Botev et al. 2024, section 2.
 *
 * @param name `hf:owner/name`, with a revision and a file or not; or a folder, by its last part.
 */
export function knownCheckpoint(name: string): KnownCheckpoint | undefined {
  const repository = isHubModel(name) ? parseHubModel(name).repository : lastPart(name);
  return KNOWN.find(([pattern]) => pattern.test(repository))?.[1];
}

/** The last part of a path, or of a name on the hub. */
export function lastPart(path: string): string {
  return path.replace(/[/\\]+$/, "").split(/[/\\]/).at(-1)!;
}
