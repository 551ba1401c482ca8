import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { adapterIdentity, definedTunables, openGpu, type Tuning } from "../../kernels/mod.ts";
import { Model } from "../../models/mod.ts";
import { driverHere } from "../../tasks/tuning/driver.ts";
import {
  candidatesText,
  readTuning,
  readTunings,
  type TunedAdapter,
  type TunedClass,
  writeTuning,
} from "../../tasks/tuning/file.ts";
import { classesOf, measureClass } from "../../tasks/tuning/measure.ts";
import { traceModel, traceTraining } from "../../tasks/tuning/trace.ts";
import { inFolder, testGpu } from "../testing.ts";

const NAME = "linear_attention/forward";

/** A class of which another candidate than the default was chosen. */
async function chosenClass(): Promise<TunedClass> {
  const tunable = definedTunables().find(({ name }) => name === NAME)!;
  const [standard, candidate] = Object.keys(tunable.candidates(await testGpu()));
  const candidates = candidatesText(tunable.candidates(await testGpu()));
  const problems = [{ problem: { time: 8 }, milliseconds: { [standard]: 2, [candidate]: 1 } }];
  return { tunable: NAME, class: "some", candidate, standard, candidates, problems, refused: {} };
}

async function entryHere(...classes: TunedClass[]): Promise<TunedAdapter> {
  const { adapter, device } = await testGpu();
  return {
    adapter: adapter.name,
    identity: adapterIdentity(device),
    driver: driverHere(),
    deno: Deno.version.deno,
    measured: "2026-01-01T00:00:00.000Z",
    models: [],
    classes,
  };
}

/** What a program reads, and is told, where the cache holds this file. */
async function read(content: string | undefined): Promise<{ tuning: Tuning; told: string[] }> {
  return await inFolder(async (folder) => {
    const [home, error] = [Deno.env.get("HF_HOME"), console.error];
    const told: string[] = [];
    try {
      Deno.env.set("HF_HOME", folder);
      if (content !== undefined) {
        await Deno.mkdir(join(folder, "lengthwise"));
        await Deno.writeTextFile(join(folder, "lengthwise", "tuning.json"), content);
      }
      console.error = (line: string): void => void told.push(line);
      const { adapter, device } = await testGpu();
      const tuning = await readTuning(adapter, adapterIdentity(device));
      assertEquals(await readTuning(adapter, adapterIdentity(device)), tuning);
      return { tuning, told };
    } finally {
      console.error = error;
      if (home === undefined) Deno.env.delete("HF_HOME");
      else Deno.env.set("HF_HOME", home);
    }
  });
}

function file(entry: TunedAdapter, format = 1): string {
  return JSON.stringify({ format, entries: [entry] });
}

Deno.test("what was measured on this adapter is chosen, and nothing is said", async () => {
  const chosen = await chosenClass();
  const { tuning, told } = await read(file(await entryHere(chosen)));
  assertEquals([tuning, told], [{ [NAME]: { some: chosen.candidate } }, []]);
  const { device } = await testGpu();
  await using gpu = await openGpu({ device, tuning });
  assertEquals(gpu.choices.tuning, tuning);
  assertEquals(await read(undefined), { tuning: {}, told: [] });
});

Deno.test("a tuning that is broken, of another format, adapter or Deno, or old, is said once", async () => {
  const chosen = await chosenClass();
  const here = await entryHere(chosen);
  const cases: [content: string, said: string][] = [
    ["{", "it is not valid JSON: the defaults are used, and ./run tune writes it anew"],
    [file(here, 2), "its format is 2: this version of Lengthwise reads 1"],
    ["{}", "format is not what `./run tune` writes"],
    [file({ ...here, classes: [{ ...chosen, candidate: 3 as never }] }), "entries.0.classes.0"],
    [file({ ...here, identity: "another" }), "is not of "],
    [file({ ...here, driver: "another" }), "./run tune measures this one"],
    [file({ ...here, deno: "2.0.0" }), "with Deno 2.0.0: the defaults are used"],
    [
      file({ ...here, classes: [{ ...chosen, candidates: "{}" }] }),
      `was measured among other candidates of ${NAME} than there are today`,
    ],
    [
      file({ ...here, classes: [{ ...chosen, candidate: "nonsense" }] }),
      `was measured among other candidates of ${NAME} than there are today`,
    ],
    [
      file({ ...here, classes: [{ ...chosen, tunable: "matmul/gone" }] }),
      "other candidates of matmul/gone than",
    ],
  ];
  for (const [content, said] of cases) {
    const { tuning, told } = await read(content);
    assertEquals([tuning, told.length], [{}, 1], content);
    assertStringIncludes(told[0], said);
    assertStringIncludes(told[0], "default");
  }
});

Deno.test("a tuning is remembered beside those of other adapters, and of other classes", () =>
  inFolder(async (folder) => {
    const path = join(folder, "lengthwise", "tuning.json");
    const chosen = await chosenClass();
    const here = await entryHere(chosen);
    const other = { ...here, identity: "another" };
    const newer = { ...chosen, class: "another" };
    await writeTuning(path, other);
    await writeTuning(path, here);
    await writeTuning(path, { ...here, classes: [newer] });
    assertEquals(await readTunings(path), [other, { ...here, classes: [newer, chosen] }]);
    await Deno.writeTextFile(path, "broken");
    await assertRejects(() => readTunings(path), Error, "it is not valid JSON");
    await writeTuning(path, here);
    assertEquals(await readTunings(path), [here]);
  }));

Deno.test("the problems of a model's kernels are noted, and the default keeps its place", async () => {
  const gpu = await testGpu();
  const configuration = {
    family: "test",
    vocabulary: 16,
    width: 16,
    layers: [
      { mixer: { kind: "attention", heads: 1, headDim: 16 } as const },
      { mixer: { kind: "linear_attention", heads: 1, keyDim: 16, valueDim: 16 } as const },
    ],
  };
  using model = new Model(gpu, configuration, { seed: 1 });
  const notes = [
    ...await traceModel(gpu, model, { prompts: [20], generated: 2 }),
    ...await traceTraining(gpu, configuration, 2, 24),
  ];
  const names = new Set(notes.map(({ tunable }) => tunable));
  for (
    const name of [
      "attention/forward",
      "attention/key_gradient",
      "attention/step",
      "linear_attention/backward",
      "linear_attention/forward",
      "matmul/product",
    ]
  ) assert(names.has(name), `${name} is not among ${[...names]}`);

  const classes = classesOf(gpu, notes);
  const tunable = definedTunables().find(({ name }) => name === NAME)!;
  const each = classes.find((each) => each.tunable === NAME)!;
  assertEquals(await measureClass(gpu, each, performance.now() - 1), undefined);
  const measured = (await measureClass(gpu, each))!;
  const [{ milliseconds }] = measured.problems;
  assertEquals(measured.standard, Object.keys(tunable.candidates(gpu))[0]);
  assert(Object.values(milliseconds).every((time) => time > 0));
  for (const { milliseconds: times } of measured.problems) {
    assert(times[measured.candidate] <= times[measured.standard]);
  }
  assert(gpu.choices.isEmpty, "a candidate is still forced");
});
