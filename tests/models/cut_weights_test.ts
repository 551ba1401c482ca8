import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import {
  architecture,
  loadModel,
  Model,
  type ModelConfiguration,
  saveModel,
  Tape,
  WEIGHT_TYPES,
  type WeightType,
} from "../../models/mod.ts";
import { blockRows } from "../../models/matrices.ts";
import { crossEntropy, crossEntropyBackward } from "../../kernels/loss/mod.ts";
import { gatherRows, reshape } from "../../models/operations.ts";
import { restoreCheckpoint, saveCheckpoint } from "../../tasks/training/checkpoint.ts";
import { findRecipe } from "../../tasks/training/recipe.ts";
import { Schedule } from "../../tasks/training/schedule.ts";
import { Trainer } from "../../tasks/training/trainer.ts";
import { assertClose, inFolder, testGpu, uniforms } from "../testing.ts";

/** Bytes that a binding has: embedding and head are cut, and the perceptrons' projections too. */
const BINDING = 24 * 1024;
const VOCABULARY = 1003;
const TIME = 5;
/** What another order of sums costs. */
const BOUND = 1e-5;

/** A GPU whose bindings are small; it shares the device of the others. */
async function smallGpu(): Promise<Gpu> {
  const { device } = await testGpu();
  return await openGpu({ device, binding: BINDING, poison: true });
}

function configurationOf(tiedHead: boolean): ModelConfiguration {
  const configuration = architecture("transformer", { vocabulary: VOCABULARY, width: 48 });
  const layers = configuration.layers.map((layer) => ({
    ...layer,
    channelMixer: { kind: "swiglu", hidden: 300 } as const,
  }));
  return { ...configuration, layers, tiedHead };
}

function tokensOf(count: number): Uint32Array {
  return Uint32Array.from(uniforms(1, count, 0, VOCABULARY), (token) => token % VOCABULARY);
}

for (const tiedHead of [false, true]) {
  const kind = tiedHead ? "tied" : "own";
  Deno.test(`a model whose weights are cut gives the logits, losses and tokens of one whose are not, ${kind} head`, async () => {
    const gpu = await smallGpu();
    const configuration = configurationOf(tiedHead);
    using cut = new Model(gpu, configuration, { seed: 1 });
    using whole = new Model(await testGpu(), configuration, { seed: 1 });
    const names = [...cut.leaves.keys()].filter((name) => name.includes("/1"));
    assertEquals(names, [
      "embedding.weight/1",
      ...[0, 1].flatMap((layer) =>
        ["gate", "up", "down"].map((name) => `layers.${layer}.channel_mixer.${name}.weight/1`)
      ),
      ...(tiedHead ? [] : ["head.weight/1"]),
    ]);
    assertEquals(cut.parameterCount, whole.parameterCount);
    for (const count of [1, TIME]) {
      const tokens = tokensOf(count);
      using logits = cut.forward(tokens);
      using expected = whole.forward(tokens);
      assertClose(await logits.read(), await expected.read(), BOUND, `logits of ${count} tokens`);
    }
    const batch = {
      batch: 1,
      time: TIME,
      tokens: tokensOf(TIME),
      labels: tokensOf(2 * TIME).slice(TIME),
    };
    const scores = await cut.score(batch);
    const expected = await whole.score(batch);
    assertClose(scores.nll, expected.nll, BOUND, "losses");
    assertEquals(scores.correct, expected.correct);
    const options = { maxTokens: 12 };
    const prompt = tokensOf(4);
    assertEquals(await cut.generate(prompt, options), await whole.generate(prompt, options));
  });

  Deno.test(`gradients of cut weights are those of whole ones, ${kind} head`, async () => {
    const configuration = configurationOf(tiedHead);
    using cut = new Model(await smallGpu(), configuration, { seed: 1 });
    using whole = new Model(await testGpu(), configuration, { seed: 1 });
    for (const model of [cut, whole]) backward(model);
    for (const [name, variable] of whole.parameters) {
      const parts = cut.parameters.get(name)!.blocks.map(({ gradient }) => gradient!);
      const values = await cut.gpu.read(parts);
      const joined = values.flatMap((part) => Array.from(part));
      assertClose(joined, await variable.gradient!.read(), BOUND, name);
    }
    for (const model of [cut, whole]) {
      for (const leaf of model.leaves.values()) leaf.dropGradient();
    }
  });

  Deno.test(`a model whose weights are cut is saved whole, and loaded cut where it must be, ${kind} head`, () =>
    inFolder(async (folder) => {
      using cut = new Model(await smallGpu(), configurationOf(tiedHead), { seed: 1 });
      await saveModel(cut, folder);
      using whole = await loadModel(await testGpu(), folder);
      assert(whole.leaves.has("embedding.weight"));
      using again = await loadModel(cut.gpu, folder);
      assertEquals([...again.leaves.keys()], [...cut.leaves.keys()]);
      using expected = whole.forward(tokensOf(3));
      using logits = again.forward(tokensOf(3));
      assertClose(await logits.read(), await expected.read(), BOUND, "logits");
    }));
}

Deno.test("more tokens than have their logits in one binding are refused with the way to read them, and scored", async () => {
  const configuration = { ...configurationOf(false), vocabulary: 1009 };
  using cut = new Model(await smallGpu(), configuration, { seed: 1 });
  using whole = new Model(await testGpu(), configuration, { seed: 1 });
  const tokens = tokensOf(9);
  const { current } = cut.gpu.memory;
  assertThrows(
    () => cut.forward(tokens),
    RangeError,
    "Cannot read 9 tokens at once as their logits take 36324 bytes",
  );
  const { message } = assertThrows(() => cut.advance(tokens), RangeError);
  assertStringIncludes(
    message,
    `allows ${BINDING} in one binding (maxStorageBufferBindingSize); read it in pieces with advance(), or score() it: at most 6 tokens at once`,
  );
  assertEquals(cut.gpu.memory.current, current);
  using expectedLogits = whole.forward(tokens);
  const first = cut.advance(tokens.subarray(0, 6));
  const rest = cut.advance(tokens.subarray(6), first.state);
  using _first = first.logits;
  using _rest = rest.logits;
  using _state = rest.state;
  const read = await cut.gpu.read([first.logits, rest.logits]);
  const joined = read.flatMap((part) => Array.from(part));
  assertClose(joined, await expectedLogits.read(), BOUND, "logits in pieces");
  const batch = { batch: 1, time: 9, tokens, labels: tokensOf(18).slice(9) };
  const scores = await cut.score(batch, { predictions: true });
  const expected = await whole.score(batch, { predictions: true });
  assertClose(scores.nll, expected.nll, BOUND, "losses");
  assertEquals(scores.predicted, expected.predicted);
});

Deno.test("a vocabulary of which one token's logits exceed a binding is refused however it is read", async () => {
  const { device } = await testGpu();
  const gpu = await openGpu({ device, binding: 1024 });
  const configuration = architecture("transformer", { vocabulary: 300, width: 16 });
  const narrow = configuration.layers.map((layer) => ({
    ...layer,
    channelMixer: { kind: "swiglu", hidden: 16 } as const,
  }));
  using model = new Model(gpu, { ...configuration, layers: narrow }, { seed: 1 });
  const tokens = Uint32Array.of(1);
  const refused = (run: () => unknown): Promise<Error> =>
    assertRejects(
      async () => await run(),
      RangeError,
      "Cannot read 1 token as its logits take 1200 bytes",
    );
  for (
    const run of [
      () => model.forward(tokens),
      () => model.prefill(tokens),
      () => model.score({ batch: 1, time: 1, tokens, labels: tokens }),
    ]
  ) {
    assert((await refused(run)).message.endsWith("(maxStorageBufferBindingSize)"));
  }
});

/** The gradients of a loss at every token. */
function backward(model: Model): void {
  const { gpu, configuration: { width } } = model;
  using tape = new Tape(gpu, { recording: true });
  using tokens = gpu.tensor([1, TIME], tokensOf(TIME), "u32");
  using labels = gpu.tensor([TIME], tokensOf(2 * TIME).slice(TIME), "u32");
  using indices = gpu.tensor([TIME], [0, 1, 2, 3, 4], "u32");
  const { hidden } = model.read(tape, tokens);
  const rows = gatherRows(tape, reshape(tape, hidden, [TIME, width]), indices);
  const logits = model.head(tape, rows);
  using loss = crossEntropy(gpu, { logits: logits.tensor, labels });
  const inputs = { logits: logits.tensor, labels, logSumExp: loss.logSumExp };
  const { logitsGradient } = crossEntropyBackward(gpu, inputs);
  tape.backward([{ variable: logits, gradient: logitsGradient }]);
}

Deno.test("256,000 × 2,560 is cut into blocks of 128 MiB at most: 20 in f32, 3 in int4", async () => {
  const { device } = await testGpu();
  const gpu = await openGpu({ device, binding: 2 ** 27 });
  const shape = [256_000, 2560];
  const count = (dtype: WeightType): number => {
    const rows = blockRows(gpu, { name: "embedding.weight", shape, dtype });
    assertEquals(rows.reduce((sum, part) => sum + part, 0), shape[0]);
    assert(rows.slice(0, -1).every((part) => part % 16 === 0));
    return rows.length;
  };
  assertEquals(WEIGHT_TYPES.map(count), [20, 10, 5, 3]);
});

Deno.test("training with cut weights is training with whole ones, from a checkpoint on too", () =>
  inFolder(async (folder) => {
    const recipe = { ...findRecipe("transformer-mixture"), model: configurationOf(true) };
    using cut = new Trainer(await smallGpu(), recipe);
    using whole = new Trainer(await testGpu(), recipe);
    const batch = {
      sequences: 1,
      time: TIME,
      tokens: tokensOf(TIME),
      rows: Uint32Array.from({ length: TIME }, (_, row) => row),
      labels: tokensOf(2 * TIME).slice(TIME),
      weights: new Float32Array(TIME).fill(1 / TIME),
      taskOf: new Uint32Array(TIME),
    };
    const step = async (trainer: Trainer, index: number): Promise<Float32Array> => {
      const [{ losses, correct }] = trainer.step(batch, index, 1e-3);
      using _held = { losses, [Symbol.dispose]: () => losses[Symbol.dispose]() };
      correct[Symbol.dispose]();
      return await losses.read();
    };
    for (const index of [0, 1]) {
      assertClose(await step(cut, index), await step(whole, index), BOUND, `step ${index}`);
    }
    const progress = { step: 2, seconds: 1, schedule: new Schedule(recipe) };
    await saveCheckpoint(folder, recipe, cut, progress);
    using again = new Trainer(cut.model.gpu, recipe);
    await restoreCheckpoint(folder, recipe, again);
    const expected = await step(cut, 2);
    assertClose(await step(again, 2), expected, 0, "from the checkpoint");
    assertClose(await step(whole, 2), expected, 1e-4, "step 2");
  }));

Deno.test("a matrix of which not even a few rows fit in a binding is refused by name", async () => {
  const { device } = await testGpu();
  const gpu = await openGpu({ device, binding: 2048 });
  const configuration = configurationOf(false);
  await assertRejects(
    () => Promise.resolve().then(() => new Model(gpu, configuration, { seed: 1 })),
    RangeError,
    "Cannot keep embedding.weight of shape [1003,48] as 16 rows of it take 3072 bytes",
  );
});
