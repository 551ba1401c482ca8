import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  architecture,
  type Batch,
  Model,
  type ModelConfiguration,
  NotANumberError,
} from "../../models/mod.ts";
import { openGpu } from "../../kernels/gpu/mod.ts";
import { testGpu, testKernel } from "../testing.ts";
import { configurations, tokensOf, VOCABULARY } from "./every_mixer.ts";

/** Tokens after a prompt, and the bits of what is carried behind them, read in batches of 32 and 8. */
async function continued(
  model: Model,
  prompt: Uint32Array,
  record: boolean,
): Promise<{ tokens: number[]; carried: Record<string, Float32Array> }> {
  using generation = model.continuing(model.prefill(prompt), { record });
  const tokens = [...await generation.next(32, 40), ...await generation.next(8, 8)];
  const carried: Record<string, Float32Array> = {};
  for (const [layer, { tensors }] of generation.states.entries()) {
    for (const [name, { tensor }] of Object.entries(tensors)) {
      carried[`${layer} ${name}`] = await tensor.read();
    }
  }
  return { tokens, carried };
}

/** Token by token from the host, which knows every position. */
async function walked(model: Model, prompt: Uint32Array, count: number): Promise<number[]> {
  let { logits, state } = model.prefill(prompt);
  const tokens: number[] = [];
  while (tokens.length < count) {
    const values = await logits.read();
    logits[Symbol.dispose]();
    tokens.push(values.indexOf(Math.max(...values)));
    ({ logits, state } = model.advance(tokens.slice(-1), state));
  }
  logits[Symbol.dispose]();
  state[Symbol.dispose]();
  return tokens;
}

for (const configuration of configurations()) {
  const { family } = configuration;
  Deno.test(`${family}: recorded tokens have the bits of unrecorded ones, states too`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 11 });
    for (const length of [3, 27]) { // windows of 20 and 32 fill up on the way, or are full
      const prompt = tokensOf(length, length);
      const recorded = await continued(model, prompt, true);
      const unrecorded = await continued(model, prompt, false);
      assertEquals(recorded, unrecorded);
      assert(Object.values(recorded.carried).length > 0);
      if (length === 3) {
        assertEquals(recorded.tokens.slice(0, 36), await walked(model, prompt, 36));
      }
    }
  });
}

/** A vocabulary whose tokens are not the same again and again. */
const small = (name: string): ModelConfiguration =>
  architecture(name, { vocabulary: VOCABULARY, width: 32, layers: 1 });

testKernel("caches that are full are enlarged, and the tokens continue", async () => {
  const gpu = await testGpu();
  using model = new Model(gpu, small("transformer"), { seed: 3 });
  const prompt = tokensOf(1, 5);
  const [recorded, unrecorded] = await Promise.all(
    [true, false].map((record) => model.generate(prompt, { maxTokens: 200, record })),
  );
  assertEquals(recorded, unrecorded);
  assertEquals(recorded.length, 200);
  assert(new Set(recorded).size > 1);
});

Deno.test("generation ends at a stop token, at no token, and gives its memory back", async () => {
  await using gpu = await openGpu();
  for (const name of ["transformer", "mamba2", "griffin"]) {
    using model = new Model(gpu, architecture(name, { vocabulary: VOCABULARY, width: 32 }), {
      seed: 3,
    });
    const prompt = tokensOf(1, 5);
    assertEquals(await model.generate(prompt, { maxTokens: 0 }), []);
    const tokens = await model.generate(prompt, { maxTokens: 70 });
    const { current } = gpu.memory; // tables that are kept are made by now
    assertEquals(await model.generate(prompt, { maxTokens: 1 }), tokens.slice(0, 1));
    const stop = tokens[40];
    const stopped = await model.generate(prompt, { maxTokens: 70, stopTokens: [stop] });
    assertEquals(stopped, tokens.slice(0, tokens.indexOf(stop) + 1));
    assertEquals(gpu.memory.current, current);
  }
});

Deno.test("generation refuses a number of tokens that is no count", async () => {
  const gpu = await testGpu();
  using model = new Model(gpu, architecture("gla", { vocabulary: VOCABULARY, width: 32 }), {
    seed: 3,
  });
  for (const maxTokens of [NaN, undefined as unknown as number, -3, 2.5, Infinity]) {
    await assertRejects(
      () => model.generate(tokensOf(1, 5), { maxTokens }),
      RangeError,
      `Cannot generate tokens as maxTokens must be 0 or a positive integer: current value is ${maxTokens}`,
    );
  }
});

Deno.test("a model that is disposed of while it reads says so, and leaves no memory", async () => {
  const gpu = await testGpu();
  for (const name of ["transformer", "gla"]) {
    const configuration = architecture(name, { vocabulary: VOCABULARY, width: 32 });
    const batch = (model: Model): Batch => {
      const time = 2 * model.segmentTokens() + 5;
      const tokens = Uint32Array.from({ length: time }, (_, i) => i % VOCABULARY);
      return { batch: 1, time, tokens, labels: tokens };
    };
    const { signal } = new AbortController(); // so that segments are waited for
    {
      using model = new Model(gpu, configuration, { seed: 1 });
      await model.score(batch(model)); // tables that are kept are made by now
    }
    const { current } = gpu.memory;
    for (const scored of [0, 1, 2]) {
      const model = new Model(gpu, configuration, { seed: 1 });
      for (let i = 0; i < scored; i++) await model.score(batch(model));
      const scoring = model.score(batch(model), { signal });
      model[Symbol.dispose]();
      await assertRejects(() => scoring, Error, "as the model was disposed of");
      await assertRejects(() => model.score(batch(model)), Error, "as the model was disposed of");
      assertEquals(gpu.memory.current, current, `${name}, scored ${scored} times before`);
    }
  }
});

Deno.test("a NaN in a replayed token is told with its position", async () => {
  const gpu = await testGpu();
  using model = new Model(gpu, small("gla"), { seed: 5 });
  const tokens = await model.generate([1, 2, 3], { maxTokens: 30 });
  const { tensor } = model.parameters.get("embedding.weight")!;
  const rows = await tensor.read();
  const bad = tokens[20];
  rows[bad * 32] = NaN;
  tensor.write(rows);
  const first = tokens.indexOf(bad);
  const error = await assertRejects(
    () => model.generate([1, 2, 3], { maxTokens: 30 }),
    NotANumberError,
    `position ${3 + first}`,
  );
  assert(error);
});
