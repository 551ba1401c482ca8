import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import {
  type Model,
  type ModelState,
  readSafetensors,
  type StoredTensor,
  writeSafetensors,
} from "../../models/mod.ts";
import { assertClose, inFolder } from "../testing.ts";

/** The published checkpoints in small. */
export const FOLDER: string = fromFileUrl(
  new URL("../golden/checkpoints/published", import.meta.url),
);
/** RWKV-6 as its authors publish it, in that folder. */
export const RWKV_6 = "rwkv6/RWKV-x060-Tiny-20261124-ctx512.pth";
/** RWKV-7 as its authors publish it. */
export const RWKV_7 = "rwkv7/RWKV-x070-Tiny-20261124-ctx512.pth";
const PROMPT = 20;
const SEGMENT = 100;

/** What the reference says of a checkpoint. */
export interface Expected {
  readonly tokens: Float32Array;
  readonly logits: ReadonlyMap<number, Float32Array>;
  readonly generated: readonly number[];
  /** The logits of the last of more tokens, where there are some. */
  readonly long?: { readonly tokens: Float32Array; readonly logits: Float32Array };
}

/** Reads what the reference says from a file beside the checkpoint. */
export async function readExpected(path: string): Promise<Expected> {
  const { tensors } = readSafetensors(await Deno.readFile(path), path);
  const dataOf = (name: string): Float32Array => tensors.get(name)!.data;
  const tokens = dataOf("tokens");
  return {
    tokens,
    logits: new Map([
      [1, dataOf("logits1")],
      [2, dataOf("logits2")],
      [tokens.length, dataOf("logits")],
    ]),
    generated: Array.from(dataOf("generated")),
    ...(tensors.has("tokens2000") && {
      long: { tokens: dataOf("tokens2000"), logits: dataOf("logits2000") },
    }),
  };
}

async function readInSegments(model: Model, tokens: Float32Array): Promise<Float32Array> {
  let state: ModelState | undefined;
  const parts: number[] = [];
  for (let start = 0; start < tokens.length; start += SEGMENT) {
    const advanced = model.advance(tokens.subarray(start, start + SEGMENT), state);
    using logits = advanced.logits;
    state = advanced.state;
    parts.push(...await logits.read());
  }
  state?.[Symbol.dispose]();
  return Float32Array.from(parts);
}

/** Reads whole what is long, and in segments. */
export async function assertLong(
  model: Model,
  { tokens, logits }: NonNullable<Expected["long"]>,
): Promise<void> {
  using whole = model.forward(tokens);
  const actual = await whole.read();
  assertClose(actual.subarray(-logits.length), logits, 1e-4, `logits of ${tokens.length} tokens`);
  assertClose(await readInSegments(model, tokens), actual, 1e-4, `segments of ${SEGMENT}`);
}

/** Compares logits, those of segments too, and a greedy continuation. */
export async function assertAsExpected(
  model: Model,
  expected: Expected,
  options: { segments: boolean } = { segments: true },
): Promise<void> {
  const { tokens, logits, generated } = expected;
  for (const [length, values] of logits) {
    using actual = model.forward(tokens.subarray(0, length));
    assertClose(await actual.read(), values, 1e-4, `logits of ${length} tokens`);
  }
  if (options.segments) {
    const whole = logits.get(tokens.length)!;
    assertClose(await readInSegments(model, tokens), whole, 1e-4, `segments of ${SEGMENT}`);
  }
  const continued = await model.generate(tokens.subarray(0, PROMPT), {
    maxTokens: generated.length,
  });
  assertEquals(continued, generated);
}

/** Runs a test on a copy of a checkpoint. */
export function inCopy(name: string, test: (folder: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    for (const file of ["config.json", "model.safetensors"]) {
      await Deno.copyFile(`${FOLDER}/${name}/${file}`, `${folder}/${file}`);
    }
    await test(folder);
  });
}

/** Changes the tensors of a copy. */
export async function changeTensors(
  folder: string,
  change: (tensors: Map<string, StoredTensor>) => void,
): Promise<void> {
  const path = `${folder}/model.safetensors`;
  const { tensors } = readSafetensors(await Deno.readFile(path), path);
  change(tensors);
  await Deno.writeFile(path, writeSafetensors(tensors));
}

/** Changes the config of a copy. */
export async function changeConfig(
  folder: string,
  change: (config: Record<string, unknown>) => Record<string, unknown>,
): Promise<void> {
  const path = `${folder}/config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify(change(config)));
}
