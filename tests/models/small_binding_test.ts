import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type Gpu, openGpu } from "../../kernels/gpu/mod.ts";
import {
  architecture,
  loadModel,
  Model,
  type ModelState,
  saveModel,
  WEIGHT_TYPES,
} from "../../models/mod.ts";
import { assertClose, inFolder, testGpu } from "../testing.ts";
import { configurations, tokensOf } from "./every_mixer.ts";

/** Bytes of a binding: the workspace of a chunk, and the hidden values of a few chunks' tokens. */
const BINDING = 2 ** 16;
const TIME = 500;
/** What another order of sums costs. */
const BOUND = 1e-5;

/** A GPU whose bindings are small; it shares the device of the others. */
async function smallGpu(binding: number = BINDING): Promise<Gpu> {
  const { device } = await testGpu();
  return await openGpu({ device, binding, poison: true });
}

for (const configuration of configurations()) {
  Deno.test(`${configuration.family}: no values of a segment exceed a small binding`, async () => {
    using small = new Model(await smallGpu(), configuration, { seed: 11 });
    using large = new Model(await testGpu(), configuration, { seed: 11 });
    assertEquals(large.segmentTokens(), 4096);
    assertEquals(large.segmentTokens(3), 1365);
    const segment = small.segmentTokens();
    assert(segment < TIME, `${segment} tokens at once`);
    const tokens = tokensOf(1, TIME);
    for (const read of ["prefill", "forward"] as const) {
      const logits = [small, large].map((model) => {
        if (read === "forward") return model.forward(tokens);
        const { logits, state } = model.prefill(tokens);
        state[Symbol.dispose]();
        return logits;
      });
      const [ours, theirs] = await Promise.all(logits.map((tensor) => tensor.read()));
      assertClose(ours, theirs, BOUND, read);
      for (const tensor of logits) tensor[Symbol.dispose]();
    }
    const batch = { batch: 2, time: 240, tokens: tokensOf(2, 480) };
    const labels = batch.tokens.map((_, at) => batch.tokens[at + 1] ?? 0);
    const [ours, theirs] = await Promise.all(
      [small, large].map((model) => model.score({ ...batch, labels })),
    );
    assertClose(ours.nll, theirs.nll, BOUND, "losses");
  });
}

Deno.test("that there is no room says in which segments was to be read", async () => {
  const { device } = await testGpu();
  const configuration = architecture("mamba2", { vocabulary: 24, width: 32 });
  await using gpu = await openGpu({ device, binding: BINDING, memory: 2 ** 18 });
  using model = new Model(gpu, configuration, { seed: 1 });
  const { message } = assertThrows(() => model.checkRoom(4000, 2), RangeError);
  assertStringIncludes(
    message,
    `Cannot read 2 × 4000 tokens in segments of ${model.segmentTokens(2)} as it takes`,
  );
});

Deno.test("a hybrid whose vocabulary exceeds a binding is streamed and stepped in every form as where it fits", () =>
  inFolder(async (folder) => {
    const vocabulary = 4001;
    const configuration = architecture("mamba2-attention", { vocabulary, width: 64, layers: 2 });
    {
      using made = new Model(await testGpu(), { ...configuration, tiedHead: true }, { seed: 3 });
      await saveModel(made, folder);
    }
    const tokens = Uint32Array.from({ length: 205 }, (_, i) => i * 7919 % vocabulary);
    const ends = [100, 200, 201, 202, 205];
    for (const dtype of WEIGHT_TYPES) {
      using small = await loadModel(await smallGpu(), folder, { dtype });
      using large = await loadModel(await testGpu(), folder, { dtype });
      assert(small.parameters.get("embedding.weight")!.blocks.length > 1, dtype);
      const read = async (model: Model): Promise<Float32Array[]> => {
        const all: Float32Array[] = [];
        let state: ModelState | undefined;
        for (const [index, end] of ends.entries()) {
          const next = model.prefill(tokens.subarray(ends[index - 1] ?? 0, end), state);
          state = next.state;
          all.push(await next.logits.read());
          next.logits[Symbol.dispose]();
        }
        state?.[Symbol.dispose]();
        return all;
      };
      const expected = await read(large);
      (await read(small)).forEach((logits, index) =>
        assertClose(logits, expected[index], BOUND, `${dtype}, ${ends[index]} tokens`)
      );
      const options = { maxTokens: 8 };
      const prompt = tokens.subarray(0, 20);
      assertEquals(await small.generate(prompt, options), await large.generate(prompt, options));
    }
  }));
