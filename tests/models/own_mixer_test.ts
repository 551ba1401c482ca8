import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { defineMixer, loadModel, Model, type ModelConfiguration, operations } from "../../mod.ts";
import {
  free,
  linear,
  type Mixed,
  type MixerFactory,
  type ModelState,
  normal,
  recurrences,
} from "../../models/mod.ts";
import { train } from "../../tasks/mod.ts";
import { assertClose, testGpu } from "../testing.ts";

/** A mixer as an application would write it: an elementwise recurrence with a learned decay. */
interface LeakyConfiguration {
  readonly kind: "own_leaky";
  readonly channels: number;
}

const leaky: MixerFactory<LeakyConfiguration> = (width, { channels }, outputGain) => ({
  parameters: [
    linear("input.weight", 2 * channels, width),
    free("bias", [channels], normal(1)),
    linear("output.weight", width, channels, outputGain),
  ],
  stateBytes: () => 4 * channels,
  mix(tape, parameters, x, state): Mixed {
    const projected = operations.linearMap(tape, x, parameters("input.weight"));
    const [input, gate] = operations.split(tape, projected, [channels, channels]);
    const decay = operations.activation(
      tape,
      operations.add(tape, gate, parameters("bias")),
      "sigmoid",
    );
    const { output, finalState } = recurrences.scan(tape, {
      decay,
      input,
      state: state?.tensors.sum,
    });
    return {
      output: operations.linearMap(tape, output, parameters("output.weight")),
      state: {
        position: (state?.position ?? 0) + x.shape[1],
        tensors: { sum: finalState },
      },
    };
  },
});

const MODEL: ModelConfiguration = {
  family: "leaky",
  vocabulary: 16,
  width: 16,
  layers: [
    { mixer: { kind: "own_leaky", channels: 24 }, channelMixer: { kind: "swiglu", hidden: 32 } },
    {
      mixer: {
        kind: "parallel",
        mixers: [
          { kind: "own_leaky", channels: 8 },
          { kind: "attention", heads: 1, headDim: 16 },
        ],
      },
    },
  ],
};

Deno.test("a mixer of one's own is defined, trained, saved, loaded and streamed", async () => {
  const gpu = await testGpu();
  assertThrows(
    () => new Model(gpu, MODEL, { seed: 1 }),
    RangeError,
    'Unknown mixer "own_leaky": define it with defineMixer() first',
  );
  assertThrows(() => defineMixer("leaky" as "own_leaky", leaky), RangeError, 'begin with "own_"');
  defineMixer("own_leaky", leaky);
  const folder = await Deno.makeTempDir();
  try {
    const directory = join(folder, "leaky");
    const losses: number[] = [];
    await train(gpu, {
      name: "leaky",
      model: MODEL,
      tasks: [{ name: "induction", options: { vocabulary: 16 } }],
      length: 16,
      batch: 16,
      learningRate: 1e-2,
      warmupSteps: 5,
      firstTaskSteps: 0,
      targetAccuracy: 1,
      steps: 60,
      seed: 1,
    }, { directory, onProgress: ({ loss }) => losses.push(loss) });
    assert(losses.at(-1)! < losses[0] - 0.3, `the loss went from ${losses[0]} to ${losses.at(-1)}`);

    using model = await loadModel(gpu, directory);
    assertEquals(model.configuration.layers, MODEL.layers);
    const tokens = Uint32Array.from({ length: 30 }, (_, i) => (i * 7) % 16);
    using whole = model.forward(tokens);
    const rows: number[] = [];
    let state: ModelState | undefined;
    for (const [from, to] of [[0, 11], [11, 12], [12, 30]]) {
      const advanced = model.advance(tokens.subarray(from, to), state);
      state = advanced.state;
      rows.push(...await advanced.logits.read());
      advanced.logits[Symbol.dispose]();
    }
    state![Symbol.dispose]();
    assertClose(rows, await whole.read(), 1e-5, "in segments");
    assertEquals((await model.generate(tokens, { maxTokens: 5 })).length, 5);

    const config = join(directory, "config.json");
    const written = await Deno.readTextFile(config);
    await Deno.writeTextFile(config, written.replace("own_leaky", "own_unknown"));
    await assertRejects(
      () => loadModel(gpu, directory),
      RangeError,
      "define it with defineMixer()",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
