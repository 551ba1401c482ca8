import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { loadModel, type Model, type ModelState, readSafetensors } from "../../models/mod.ts";
import { assertClose, testGpu } from "../testing.ts";

const FOLDER = fromFileUrl(new URL("../golden/checkpoints/published", import.meta.url));
const PROMPT = 20;
const SEGMENT = 100;

interface Expected {
  readonly tokens: Float32Array;
  readonly logits: ReadonlyMap<number, Float32Array>;
  readonly generated: readonly number[];
}

async function readExpected(path: string): Promise<Expected> {
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

async function assertAsExpected(
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

for (
  const name of [
    "llama",
    "llama_tied",
    "mamba",
    "mamba_biased",
    "mamba2",
    "mamba2_biased",
    "recurrent_gemma",
    "recurrent_gemma_biased",
  ]
) {
  Deno.test(`${name}: logits and greedy generation are those of the reference`, async () => {
    const gpu = await testGpu();
    using model = await loadModel(gpu, `${FOLDER}/${name}`);
    await assertAsExpected(model, await readExpected(`${FOLDER}/${name}/expected.safetensors`));
  });
}

for (const scaling of ["linear", "dynamic", "yarn", "llama3"]) {
  Deno.test(`llama with ${scaling} rotary scaling: logits and greedy generation are those of the reference`, async () => {
    const gpu = await testGpu();
    const folder = await Deno.makeTempDir();
    try {
      await Deno.copyFile(`${FOLDER}/llama/model.safetensors`, `${folder}/model.safetensors`);
      await Deno.copyFile(`${FOLDER}/llama/config.${scaling}.json`, `${folder}/config.json`);
      using model = await loadModel(gpu, folder);
      const expected = await readExpected(`${FOLDER}/llama/expected.${scaling}.safetensors`);
      // Dynamic frequencies depend on how far has been read: see DynamicScaling.
      await assertAsExpected(model, expected, { segments: scaling !== "dynamic" });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}
