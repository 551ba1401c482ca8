import { assert, assertEquals } from "@std/assert";
import { mixersOf, Model, type ModelState, Tape } from "../../models/mod.ts";
import { MIXER_KINDS } from "../../models/mixers/registry.ts";
import { configurations, tokensOf, VOCABULARY } from "./every_mixer.ts";
import { reshape } from "../../models/operations.ts";
import { assertClose, normals, testGpu } from "../testing.ts";

const LENGTH = 77;

Deno.test("every mixer of the registry is in one of the models that are tested", () => {
  const tested = configurations().flatMap(({ layers }) => layers)
    .flatMap((layer) => [layer.mixer?.kind, ...mixersOf(layer).map(({ kind }) => kind)]);
  const missing = MIXER_KINDS.filter((kind) => !tested.includes(kind));
  assertEquals(missing, [], "give them an architecture in models/configuration.ts");
});

for (const configuration of configurations()) {
  const { family } = configuration;

  Deno.test(`${family}: segment by segment equals whole`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const tokens = tokensOf(1, LENGTH);
    using whole = model.forward(tokens);
    let state: ModelState | undefined;
    const parts = [];
    for (const [start, end] of [[0, 40], [40, 41], [41, 43], [43, LENGTH]]) {
      const advanced = model.advance(tokens.subarray(start, end), state);
      state = advanced.state;
      parts.push(advanced.logits);
    }
    state![Symbol.dispose]();
    const [expected, ...segments] = await gpu.read([whole, ...parts]);
    const joined = segments.flatMap((segment) => Array.from(segment));
    assertClose(joined, expected, 1e-4, `${family} in segments`);
    for (const part of parts) part[Symbol.dispose]();
  });

  Deno.test(`${family}: token by token equals whole, and generation follows the logits`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const prompt = tokensOf(2, 41);
    const generated = await model.generate(prompt, { maxTokens: 5 });
    assertEquals(generated.length, 5);
    using logits = model.forward([...prompt, ...generated]);
    const values = await logits.read();
    const likeliest = generated.map((_, i) => {
      const row = values.subarray((40 + i) * VOCABULARY, (41 + i) * VOCABULARY);
      return row.indexOf(Math.max(...row));
    });
    assertEquals(generated, likeliest);
  });

  Deno.test(`${family}: the gradient predicts how the loss moves`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    const tokens = tokensOf(3, 2 * 21);
    const weights = normals(4, 2 * 21 * VOCABULARY);
    using input = gpu.tensor([2, 21], tokens, "u32");
    const loss = async (): Promise<number> => {
      using tape = new Tape(gpu);
      const { hidden } = model.read(tape, input);
      const values = await model.head(tape, hidden).tensor.read();
      return values.reduce((sum, value, i) => sum + value * weights[i], 0);
    };
    {
      using tape = new Tape(gpu, { recording: true });
      const { hidden } = model.read(tape, input);
      const rows = reshape(tape, hidden, [42, model.configuration.width]);
      const gradient = gpu.tensor([42, VOCABULARY], weights);
      tape.backward([{ variable: model.head(tape, rows), gradient }]);
    }
    for (const [name, { tensor, gradient }] of model.parameters) {
      assert(gradient !== undefined, `${name} has no gradient`);
      const [values, slope] = await gpu.read([tensor, gradient]);
      const norm = Math.hypot(...slope);
      assert(Number.isFinite(norm), `${name}: gradient is ${norm}`);
      if (norm < 1e-3) continue;
      // Far enough that the loss moves by more than it is rounded, near enough that it is straight.
      const reach = Math.max(1, Math.hypot(...values));
      const distance = Math.min(0.02 * reach, Math.max(5e-4 * reach, 0.02 / norm));
      const size = distance / norm;
      tensor.write(values.map((value, i) => value + size * slope[i]));
      const above = await loss();
      tensor.write(values.map((value, i) => value - size * slope[i]));
      const below = await loss();
      tensor.write(values);
      const ratio = (above - below) / (2 * size * norm * norm);
      assert(
        Math.abs(ratio - 1) < 0.03,
        `${family} ${name}: slope is off by a factor of ${ratio} (norm ${norm}, size ${size})`,
      );
      gradient[Symbol.dispose]();
    }
  });

  Deno.test(`${family}: stateBytes() is what the state holds`, async () => {
    const gpu = await testGpu();
    using model = new Model(gpu, configuration, { seed: 7 });
    for (const length of [1, 3, 50]) {
      const { logits, state } = model.advance(tokensOf(5, length));
      using _logits = logits;
      const held = state.take().flatMap(({ tensors }) => Object.values(tensors));
      const bytes = held.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
      assertEquals(bytes, model.stateBytes(length));
      for (const { tensor } of held) tensor[Symbol.dispose]();
    }
  });
}
