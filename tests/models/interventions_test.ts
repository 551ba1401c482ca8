import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  architecture,
  ARCHITECTURES,
  intervene,
  loadModel,
  mixersOf,
  Model,
  type ModelConfiguration,
  type ModelState,
} from "../../models/mod.ts";
import { sightOf, stateBytesOf } from "../../models/layers.ts";
import { alibiSlopes } from "../../models/mixers/alibi.ts";
import { assertClose, testGpu } from "../testing.ts";
import { FOLDER } from "./published_checkpoints.ts";

const TRANSFORMER = architecture("transformer", { vocabulary: 32, width: 32 });
const CONTEXT = { trainLength: 16 };

function tokensOf(length: number): Uint32Array {
  return Uint32Array.from({ length }, (_, t) => (t * t + 3 * t) % 32);
}

/** Logits of a model with weights of seed 1, as a whole, or in segments of a size. */
async function logits(
  configuration: ModelConfiguration,
  tokens: Uint32Array,
  segment = tokens.length,
): Promise<Float32Array> {
  using model = new Model(await testGpu(), configuration, { seed: 1 });
  const parts: number[] = [];
  let state: ModelState | undefined;
  for (let start = 0; start < tokens.length; start += segment) {
    const advanced = model.advance(tokens.subarray(start, start + segment), state);
    state = advanced.state;
    using logits = advanced.logits;
    parts.push(...await logits.read());
  }
  state?.[Symbol.dispose]();
  return Float32Array.from(parts);
}

Deno.test("ALiBi's slopes are those of the paper, for powers of two and between", () => {
  assertEquals(alibiSlopes(8), [1, 2, 3, 4, 5, 6, 7, 8].map((i) => 2 ** -i));
  assertEquals(alibiSlopes(1), [2 ** -8]);
  // 6 heads: the four of 4 heads, then the first and third of 8.
  const six = [2 ** -2, 2 ** -4, 2 ** -6, 2 ** -8, 2 ** -1, 2 ** -3];
  alibiSlopes(6).forEach((slope, i) => assertAlmostEquals(slope, six[i]));
});

for (
  const changes of [
    ["nope"],
    ["alibi"],
    ["alibi", "window8"],
    ["window8"],
    ["window8", "sinks3"],
    ["linear4"],
    ["ntk4"],
    ["yarn4"],
    ["rope500"],
  ]
) {
  Deno.test(`${changes.join("+")}: it is another model, and segments are the whole`, async () => {
    const tokens = tokensOf(41);
    const changed = intervene(TRANSFORMER, changes, CONTEXT);
    const whole = await logits(changed, tokens);
    const before = await logits(TRANSFORMER, tokens);
    assert(whole.some((value, i) => Math.abs(value - before[i]) > 1e-3), "nothing changed");
    for (const segment of [1, 5, 13]) {
      assertClose(await logits(changed, tokens, segment), whole, 1e-4, `segments of ${segment}`);
    }
  });
}

Deno.test("what changes nothing gives the same logits", async () => {
  const tokens = tokensOf(41);
  const whole = await logits(TRANSFORMER, tokens);
  for (
    const changes of [["window41"], ["window30", "sinks11"], ["linear1"], ["ntk1"], ["rope10000"]]
  ) {
    const same = await logits(intervene(TRANSFORMER, changes, CONTEXT), tokens);
    assertClose(same, whole, 1e-5, changes.join("+"));
  }
});

Deno.test("a window with sinks keeps both and no more", async () => {
  const gpu = await testGpu();
  using model = new Model(gpu, intervene(TRANSFORMER, ["window8", "sinks3"], CONTEXT), { seed: 1 });
  assertEquals(model.stateBytes(1000), model.stateBytes(11));
  const read = (tokens: Uint32Array): ModelState => {
    const { logits, state } = model.advance(tokens);
    logits[Symbol.dispose]();
    return state;
  };
  using state = read(tokensOf(40));
  const [first] = state.take();
  assertEquals(first.tensors.key.shape[1], 11);
  for (const { tensor } of Object.values(first.tensors)) tensor[Symbol.dispose]();
});

Deno.test("an unknown intervention, or one that does not fit, is refused by name", () => {
  for (
    const [wrong, message] of [
      ["yarm8", 'Unknown intervention "yarm8". Did you mean "yarn8"?'],
      ["yarn", 'Unknown intervention "yarn". Did you mean "yarn<factor>"?'],
      ["nope3", 'Unknown intervention "nope3". Did you mean "nope"?'],
      ["warp4", 'Unknown intervention "warp4". Did you mean "yarn4"?'],
      ["", 'Unknown intervention "": known are nope, alibi, rope<base>'],
      ["window0", "Cannot change a model with window0 as its tokens must be a positive integer"],
      ["window2.5", "Cannot change a model with window2.5 as its tokens must be a positive"],
      ["yarn0", "Cannot change a model with yarn0 as its factor must be greater than 0"],
    ]
  ) {
    assertThrows(() => intervene(TRANSFORMER, [wrong], CONTEXT), RangeError, message);
  }
  const mamba = architecture("mamba2", { vocabulary: 32, width: 32 });
  assertThrows(() => intervene(mamba, ["nope"], CONTEXT), RangeError, "as it has no attention");
  for (const scaling of ["linear2", "ntk2", "yarn2"]) {
    assertThrows(
      () => intervene(TRANSFORMER, ["nope", scaling], CONTEXT),
      RangeError,
      "has no rotary positions",
    );
  }
  const build = (changes: string[]): unknown =>
    stateBytesOf(intervene(TRANSFORMER, changes, CONTEXT));
  assertThrows(() => build(["sinks4"]), RangeError, "sinks without a window");
  assertThrows(
    () => build(["window8", "alibi", "sinks4"]),
    RangeError,
    "ALiBi with attention sinks",
  );
  const [{ mixer }] = intervene(TRANSFORMER, ["alibi", "nope"], CONTEXT).layers;
  assertEquals(mixer, { kind: "attention", heads: 2, headDim: 16 });
});

Deno.test("state size and the place of attention are options of an architecture", () => {
  const options = { vocabulary: 32, width: 32 };
  const hybrid = architecture("mamba2-attention", {
    ...options,
    layers: 4,
    attentionLayers: [0, 3],
  });
  assertEquals(hybrid.layers.map(({ mixer }) => mixer?.kind), [
    "attention",
    "mamba2",
    "mamba2",
    "attention",
  ]);
  const [{ mixer }] = architecture("gla", { ...options, stateDim: 24 }).layers;
  assertEquals(mixer?.kind === "gla" && mixer.keyDim, 24);
});

Deno.test("an option of an architecture changes its state, or is refused", () => {
  const options = { vocabulary: 32, width: 32 };
  let sized = 0;
  for (const name of Object.keys(ARCHITECTURES)) {
    const bytes = (stateDim: number): number =>
      stateBytesOf(architecture(name, { ...options, stateDim }))(64);
    if (["transformer", "griffin", "hgrn", "lfm2", "rwkv6", "rwkv7"].includes(name)) {
      assertThrows(() => bytes(8), RangeError, "it has no stateDim");
      continue;
    }
    try {
      bytes(8);
    } catch (error) { // an architecture that is newer than this list
      assertStringIncludes((error as Error).message, "it has no stateDim");
      continue;
    }
    assert(bytes(24) > bytes(8), name);
    sized++;
  }
  assert(sized >= 8);
  assertThrows(
    () => architecture("gla", { ...options, stateDim: 0 }),
    RangeError,
    "must be a positive integer",
  );
  assertThrows(
    () => architecture("mamba2-attention", { ...options, attentionLayers: [3] }),
    RangeError,
    "of its layers 0 to 2: one of them is 3",
  );
  assertThrows(
    () => architecture("mamba2", { ...options, attentionLayers: [0] }),
    RangeError,
    "mamba2-attention alone",
  );
});

Deno.test("YaRN scales what turns of a head, and no more", () => {
  const attention = { kind: "attention", heads: 2, headDim: 8, rotaryBase: 100 } as const;
  const yarn = (rotaryDim?: number): Record<string, unknown> => {
    const mixer = { ...attention, ...(rotaryDim && { rotaryDim }) };
    const model = { family: "part", vocabulary: 8, width: 16, layers: [{ mixer }] };
    const [layer] = intervene(model, ["yarn8"], { trainLength: 16 }).layers;
    return { ...layer.mixer };
  };
  const gain = 0.1 * Math.log(8) + 1;
  assertEquals(yarn().scale, gain ** 2 * 8 ** -0.5);
  assertEquals(yarn().rotaryGain, undefined);
  assertEquals(yarn(4).scale, undefined);
  assertEquals(yarn(4).rotaryGain, gain);
});

Deno.test("published hybrids are changed as they are loaded, and stream as they read whole", async () => {
  const gpu = await testGpu();
  for (const name of ["falcon_h1", "olmo_hybrid_rotary", "qwen3_5", "lfm2", "gemma3_text"]) {
    const folder = `${FOLDER}/${name}`;
    using model = await loadModel(gpu, folder, {
      configure: (configuration) => intervene(configuration, ["window9", "nope"], CONTEXT),
    });
    using unchanged = await loadModel(gpu, folder);
    const tokens = tokensOf(70);
    using whole = model.forward(tokens);
    using other = unchanged.forward(tokens);
    const first = model.advance(tokens.subarray(0, 33));
    const rest = model.advance(tokens.subarray(33), first.state);
    const read = await gpu.read([whole, other, first.logits, rest.logits]);
    const [values, before, ...parts] = read.map((part) => Array.from(part));
    assertClose(parts.flat(), values, 1e-4, name);
    assert(values.some((value, i) => Math.abs(value - before[i]) > 1e-2), `${name} is changed`);
    for (const tensor of [first.logits, rest.logits, rest.state]) tensor[Symbol.dispose]();
  }
});

Deno.test("attention beside another mixer is changed, and its window counts", () => {
  const model: ModelConfiguration = {
    family: "side by side",
    vocabulary: 8,
    width: 16,
    layers: [
      {
        mixer: {
          kind: "parallel",
          mixers: [
            { kind: "short_convolution" },
            { kind: "attention", heads: 2, headDim: 8, rotaryBase: 100 },
          ],
        },
      },
      { channelMixer: { kind: "relu_squared", hidden: 16 } },
    ],
  };
  assertEquals(sightOf(model)?.window, undefined);
  const changed = intervene(model, ["nope", "window5"], { trainLength: 16 });
  assertEquals(sightOf(changed)?.window, 5);
  assertEquals(changed.layers.flatMap(mixersOf), [
    { kind: "short_convolution" },
    { kind: "attention", heads: 2, headDim: 8, window: 5 },
  ]);
  assertEquals(changed.layers[1], model.layers[1]);
  assertEquals(sightOf(intervene(model, ["window4k", "sinks1k"], {}))?.window, 4096);
  assertThrows(() => intervene(model, ["yarn8"], {}), RangeError, "(--train-length)");
  for (const wrong of ["nopek", "yarn2k", "windowk", "window1.0001k"]) {
    assertThrows(() => intervene(model, [wrong], { trainLength: 16 }), RangeError);
  }
  const without = { ...model, layers: model.layers.slice(1) };
  assertThrows(() => intervene(without, ["nope"], { trainLength: 16 }), RangeError, "no attention");
});
