import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { parse } from "@std/csv";
import { join } from "@std/path";
import { architecture, loadModel, readSafetensors, writeSafetensors } from "../../models/mod.ts";
import { DivergedError } from "../../tasks/mod.ts";
import { createTask } from "../../tasks/registry.ts";
import { segmentsOf, type TrainingBatch, trainingBatch } from "../../tasks/training/batch.ts";
import type { Recipe } from "../../tasks/training/recipe.ts";
import { Schedule } from "../../tasks/training/schedule.ts";
import { train } from "../../tasks/training/train.ts";
import { Trainer } from "../../tasks/training/trainer.ts";
import { inFolder, testGpu } from "../testing.ts";

const RECIPE: Recipe = {
  name: "test",
  model: architecture("gla", { vocabulary: 64, width: 16, layers: 1 }),
  tasks: [
    { name: "induction", options: { vocabulary: 64, symbols: [16, 31], mark: 5, taskToken: 2 } },
    { name: "passkey", options: { vocabulary: 64, taskToken: 4 } },
  ],
  length: 24,
  batch: 8,
  learningRate: 3e-3,
  warmupSteps: 5,
  firstTaskSteps: 10,
  targetAccuracy: 0.97,
  steps: 60,
  seed: 5,
};

/** The recipe that a folder holds, and that it names its schema. */
async function storedRecipe(folder: string): Promise<Recipe> {
  const { $schema, ...recipe } = JSON.parse(await Deno.readTextFile(`${folder}/recipe.json`));
  const schema = join(folder, $schema);
  assertEquals(JSON.parse(await Deno.readTextFile(schema)).title, "A recipe of Lengthwise");
  return recipe;
}

async function losses(folder: string): Promise<string[][]> {
  const rows = parse(await Deno.readTextFile(`${folder}/log.csv`));
  return rows.map(([step, loss]) => [step, loss]);
}

Deno.test("a task whose tokens the model does not know is refused before anything is written", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const model = architecture("gla", { vocabulary: 60, width: 16, layers: 1 });
    await assertRejects(
      () => train(gpu, { ...RECIPE, model }, { directory: folder }),
      RangeError,
      "Cannot ask test induction as its vocabulary must have at least 64 tokens: current number is 60",
    );
    assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["training.lock"]);
  }));

Deno.test("training lowers the loss, and leaves a model with its recipe and log", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    await train(gpu, RECIPE, { directory: folder });
    const [, ...rows] = await losses(folder);
    assertEquals(rows.length, 6);
    assert(Number(rows[5][1]) < 0.9 * Number(rows[0][1]));
    assertEquals(await storedRecipe(folder), RECIPE);
    using model = await loadModel(gpu, folder);
    assertEquals(model.configuration, RECIPE.model);
  }));

Deno.test("a run that passes states continues with the one that it was ended with", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const recipe: Recipe = { ...RECIPE, statePassing: 1, steps: 30 };
    await train(gpu, recipe, { directory: `${folder}/whole` });
    await assertRejects(() =>
      train(gpu, recipe, {
        directory: `${folder}/ended`,
        checkpointSeconds: 0,
        onProgress: ({ step }) => {
          if (step === 20) throw new Error("killed");
        },
      })
    );
    await train(gpu, recipe, { directory: `${folder}/ended`, resume: true });
    assertEquals(await losses(`${folder}/ended`), await losses(`${folder}/whole`));
  }));

Deno.test("a run that was ended continues to the same losses", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const whole = `${folder}/whole`;
    await train(gpu, RECIPE, { directory: whole });
    const ended = `${folder}/ended`;
    await assertRejects(
      () =>
        train(gpu, RECIPE, {
          directory: ended,
          checkpointSeconds: 0,
          onProgress: ({ step }) => {
            if (step === 40) throw new Error("killed");
          },
        }),
      Error,
      "killed",
    );
    await train(gpu, RECIPE, { directory: ended, resume: true });
    assertEquals(await losses(ended), await losses(whole));
    const read = (folder: string): Promise<Uint8Array> =>
      Deno.readFile(`${folder}/model.safetensors`);
    assertEquals(await read(ended), await read(whole));
    const other = { ...RECIPE, seed: 6 };
    await assertRejects(
      async () => {
        await train(gpu, RECIPE, {
          directory: ended,
          checkpointSeconds: 0,
          onProgress: ({ step }) => {
            if (step === 20) throw new Error("killed");
          },
        }).catch(() => {});
        await train(gpu, other, { directory: ended, resume: true });
      },
      Error,
      "made by another recipe",
    );
  }));

Deno.test("steps that no result changes are queued ahead, and learn the same", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const recipe = { ...RECIPE, targetAccuracy: 1 };
    const read = gpu.read.bind(gpu);
    let most = 0;
    let reading = 0;
    gpu.read = async (...of) => {
      most = Math.max(most, ++reading);
      try {
        return await read(...of);
      } finally {
        reading--;
      }
    };
    try {
      const ahead = `${folder}/ahead`;
      await train(gpu, recipe, { directory: ahead });
      assertEquals(most, 2); // one block's results, while the next is queued
      const stop = new AbortController();
      const ended = `${folder}/ended`;
      const ending = train(gpu, recipe, {
        directory: ended,
        signal: stop.signal,
        onProgress: ({ step }) => step === 30 && stop.abort(),
      });
      await assertRejects(() => ending, DOMException);
      await train(gpu, recipe, { directory: ended, resume: true });
      most = 0;
      const single = `${folder}/single`;
      await train(gpu, recipe, { directory: single, checkpointSeconds: 0 });
      assertEquals(most, 1); // a checkpoint is between the blocks
      for (const other of [ended, single]) {
        assertEquals(await losses(other), await losses(ahead));
        const [a, b] = await Promise.all(
          [other, ahead].map((folder) => Deno.readFile(`${folder}/model.safetensors`)),
        );
        assertEquals(a, b);
      }
    } finally {
      gpu.read = read;
    }
  }));

Deno.test("a loss that is no longer finite ends training with what to do", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    await assertRejects(
      () => train(gpu, { ...RECIPE, learningRate: 1e30 }, { directory: folder }),
      Error,
      "lower --learning-rate",
    );
  }));

Deno.test("weights that are no longer finite are never kept: not as a checkpoint, not as the model", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    // The loss of the last step is of the weights before it: only they tell.
    for (const steps of [1, 10]) {
      const directory = `${folder}/${steps}`;
      const recipe = { ...RECIPE, steps, warmupSteps: 0, learningRate: 1e38 };
      const error = await assertRejects(
        () => train(gpu, { ...recipe, steps }, { directory, checkpointSeconds: 0 }),
        DivergedError,
        "Cannot continue training test as",
      );
      assert(/NaN|Infinity/.test(error.message), error.message);
      const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
      assertEquals(names, ["log.csv", "recipe.json", "training.lock"]);
    }
    // A run that had a good checkpoint before keeps it.
    const recipe = { ...RECIPE, steps: 30 };
    await assertRejects(() =>
      train(gpu, recipe, {
        directory: folder,
        checkpointSeconds: 0,
        onProgress: ({ step }) => {
          if (step === 10) throw new Error("killed");
        },
      })
    );
    const good = await Deno.readFile(`${folder}/checkpoint.safetensors`);
    const { tensors, metadata } = readSafetensors(good, "good");
    const { shape, data } = tensors.get("norm.weight")!;
    const bad = new Map(tensors).set("norm.weight", {
      shape,
      data: Float32Array.from(data).fill(NaN, 0, 1),
    });
    const broken = writeSafetensors(bad, metadata);
    await Deno.writeFile(`${folder}/checkpoint.safetensors`, broken);
    await assertRejects(
      () => train(gpu, recipe, { directory: folder, resume: true, checkpointSeconds: 0 }),
      DivergedError,
      "its loss is NaN at step 10",
    );
    assertEquals(await Deno.readFile(`${folder}/checkpoint.safetensors`), broken);
  }));

Deno.test("a finished model and a checkpoint are replaced only where that is asked for", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const directory = `${folder}/test`;
    const recipe = { ...RECIPE, steps: 20 };
    const model = (): Promise<Uint8Array> => Deno.readFile(`${directory}/model.safetensors`);
    const end = await train(gpu, recipe, { directory });
    const first = await model();
    const other = { ...recipe, seed: 6 };
    for (
      const [asked, options, message] of [
        [recipe, {}, "as it holds a finished model: name another folder"],
        [other, {}, "as it holds a finished model: name another folder"],
        [other, { resume: true }, "a finished model that was made by another recipe"],
      ] as const
    ) {
      await assertRejects(() => train(gpu, asked, { directory, ...options }), Error, message);
    }
    const same = await train(gpu, recipe, { directory, resume: true });
    assertEquals([same.step, same.end], [end.step, end.end]);
    assert(Math.abs(same.loss - end.loss) < 1e-4 && same.accuracies.length === 2);
    assertEquals([await model(), await storedRecipe(directory)], [
      first,
      recipe,
    ]);
    // Ended within the new training, the folder has a checkpoint of it and no model of the old one.
    await assertRejects(() =>
      train(gpu, other, {
        directory,
        overwrite: true,
        checkpointSeconds: 0,
        onProgress: () => {
          throw new Error("killed");
        },
      })
    );
    await assertRejects(model, Deno.errors.NotFound);
    await assertRejects(
      () => train(gpu, other, { directory }),
      Error,
      "as it holds a checkpoint of a training: continue from it with --resume",
    );
    await assertRejects(
      () => train(gpu, recipe, { directory, resume: true }),
      Error,
      "made by another recipe",
    );
    assertEquals(await storedRecipe(directory), other);
    await train(gpu, other, { directory, resume: true });
    assert((await model()).some((byte, i) => byte !== first[i]));
  }));

Deno.test("one process trains into a folder; a folder that goes is noticed at the next steps", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const directory = `${folder}/test`;
    const recipe = { ...RECIPE, steps: 30 };
    let refused: Promise<unknown> | undefined;
    await assertRejects(
      () =>
        train(gpu, recipe, {
          directory,
          onProgress: ({ step }) => {
            refused ??= assertRejects(
              () => train(gpu, recipe, { directory, resume: true }),
              Error,
              "another process is training there",
            );
            if (step === 20) Deno.removeSync(directory, { recursive: true });
          },
        }),
      Error,
      `${directory} was deleted or replaced meanwhile`,
    );
    await refused;
  }));

Deno.test("a signal ends training at a checkpoint, and it continues to the same losses", () =>
  inFolder(async (folder) => {
    const gpu = await testGpu();
    const recipe = { ...RECIPE, steps: 40 };
    await train(gpu, recipe, { directory: `${folder}/whole` });
    const ended = `${folder}/ended`;
    const abort = new AbortController();
    await assertRejects(
      () =>
        train(gpu, recipe, {
          directory: ended,
          signal: abort.signal,
          onProgress: ({ step }) => step === 20 && abort.abort(),
        }),
      DOMException,
      "aborted",
    );
    // What a killed run wrote behind its checkpoint, and a row that it wrote in part, are cut off.
    const log = `${ended}/log.csv`;
    const rows = await Deno.readTextFile(log);
    const last = rows.trimEnd().split("\n").at(-1)!;
    await Deno.writeTextFile(log, `${rows}${last.replace("20", "30")}\n${last.slice(0, 2)}`);
    await train(gpu, recipe, { directory: ended, resume: true });
    assertEquals(await losses(ended), await losses(`${folder}/whole`));
    // A log that is gone is begun anew.
    await Deno.remove(`${ended}/model.safetensors`);
    await Deno.remove(log);
    await train(gpu, recipe, { directory: ended });
    assertEquals(await losses(ended), await losses(`${folder}/whole`));
  }));

Deno.test("a step's batch is a pure function of recipe and step, shared equally by the tasks", async () => {
  const tasks = await Promise.all(
    RECIPE.tasks.map(({ name, options }) => createTask(name, options)),
  );
  const batch = trainingBatch(RECIPE, tasks, 12);
  assertEquals(batch, trainingBatch(RECIPE, tasks, 12));
  assert(batch.tokens.some((token, i) => token !== trainingBatch(RECIPE, tasks, 13).tokens[i]));
  for (const task of [0, 1]) {
    const share = batch.weights.reduce(
      (sum, weight, row) => sum + (batch.taskOf[row] === task ? weight : 0),
      0,
    );
    assert(Math.abs(share - 0.5) < 1e-6);
  }
  assert(trainingBatch(RECIPE, tasks, 9).taskOf.every((task) => task === 0));
});

Deno.test("the rate warms up, stays, and cools down when the worst task is learned", () => {
  const schedule = new Schedule({ ...RECIPE, steps: 1000 });
  assertEquals(schedule.rate(0), 3e-3 / 5);
  assertEquals(schedule.rate(500), 3e-3);
  assertEquals(schedule.isFixed, false);
  for (let step = 0; step < 400; step++) {
    schedule.add({ step, loss: 1, accuracies: [1, step < 300 ? 0.5 : 1] });
  }
  assert(schedule.cooldownStart! > 310 && schedule.cooldownStart! < 325);
  assertEquals(schedule.isFixed, true);
  assertEquals(schedule.end, schedule.cooldownStart! + 100);
  assertEquals(schedule.rate(schedule.cooldownStart! + 50), 3e-3 / 2);
});

Deno.test("a constant rate warms up and stays to the last step, whatever is learned", () => {
  const schedule = new Schedule({ ...RECIPE, steps: 1000, schedule: "constant" });
  for (let step = 0; step < 999; step++) schedule.add({ step, loss: 0, accuracies: [1, 1] });
  assertEquals([schedule.end, schedule.cooldownStart], [1000, undefined]);
  assertEquals([0, 10, 999].map((step) => schedule.rate(step)), [3e-3 / 5, 3e-3, 3e-3]);
});

Deno.test("with a target of 1 the rate cools down over the last quarter, however soon all is right", () => {
  const schedule = new Schedule({ ...RECIPE, steps: 1000, targetAccuracy: 1 });
  for (let step = 0; step < 700; step++) schedule.add({ step, loss: 0, accuracies: [1, 1] });
  assertEquals([schedule.end, schedule.cooldownStart], [1000, undefined]);
  assertEquals([749, 750, 875].map((step) => schedule.rate(step)), [3e-3, 3e-3, 1.5e-3]);
});

Deno.test("a mixture of lengths and loads is drawn by its weights, the same for a step each time", async () => {
  const options = { vocabulary: 64, pairs: 4 };
  const recipe: Recipe = {
    ...RECIPE,
    tasks: [{ name: "mqar", options }],
    firstTaskSteps: 0,
    points: [{ length: 32, load: 2 }, { length: 64, load: 8, weight: 3 }],
  };
  const tasks = [await createTask("mqar", options)];
  const batches = Array.from({ length: 400 }, (_, step) => trainingBatch(recipe, tasks, step));
  const short = batches.filter(({ time }) => time === 32);
  assert(Math.abs(short.length - 100) < 30, `${short.length} of 400 are short`);
  for (const { time, rows, sequences } of batches) {
    assertEquals(rows.length, sequences * (time === 32 ? 2 : 8));
  }
  assertEquals(trainingBatch(recipe, tasks, 7), batches[7]);
});

Deno.test("segments of a batch hold each scored row once, where it was", async () => {
  const tasks = await Promise.all(
    RECIPE.tasks.map(({ name, options }) => createTask(name, options)),
  );
  const batch = trainingBatch(RECIPE, tasks, 20);
  const segments = segmentsOf(batch, 5);
  assertEquals(segments.reduce((sum, { time }) => sum + time, 0), batch.time);
  const seen: number[] = [];
  let start = 0;
  for (const { time, tokens, rows, scored, labels, weights } of segments) {
    rows.forEach((row, i) => {
      const whole = Math.floor(row / time) * batch.time + start + row % time;
      assertEquals(batch.rows[scored[i]], whole);
      assertEquals(tokens[row], batch.tokens[whole]);
      assertEquals([labels[i], weights[i]], [batch.labels[scored[i]], batch.weights[scored[i]]]);
    });
    seen.push(...scored);
    start += time;
  }
  assertEquals(seen.sort((a, b) => a - b), [...batch.rows.keys()]);
});

/** Losses by scored row of two steps, and the parameters behind them. */
async function twoSteps(recipe: Recipe): Promise<{ losses: number[][]; parameters: number[] }> {
  const gpu = await testGpu();
  const tasks = await Promise.all(
    recipe.tasks.map(({ name, options }) => createTask(name, options)),
  );
  using trainer = new Trainer(gpu, recipe);
  const losses: number[][] = [];
  for (const step of [0, 1]) {
    const batch = trainingBatch({ ...recipe, points: [{ length: 24 }] }, tasks, step);
    const row: number[] = [];
    for (const { scored, losses, correct } of trainer.step(batch, step, 3e-3)) {
      const values = await losses.read();
      scored.forEach((index, i) => row[index] = values[i]);
      losses[Symbol.dispose]();
      correct[Symbol.dispose]();
    }
    losses.push(row);
  }
  const parameters: number[] = [];
  for (const { tensor } of trainer.model.parameters.values()) {
    parameters.push(...await tensor.read());
  }
  return { losses, parameters };
}

function farthest(a: readonly number[], b: readonly number[]): number {
  assertEquals(a.length, b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}

Deno.test("truncated back-propagation reads the same and learns otherwise", async () => {
  const recipe = { ...RECIPE, firstTaskSteps: 0 };
  const whole = await twoSteps(recipe);
  const cut = await twoSteps({ ...recipe, segments: 4 });
  assert(farthest(whole.losses[0], cut.losses[0]) < 1e-4, "the state is carried");
  assert(farthest(whole.parameters, cut.parameters) > 1e-4, "the gradient is cut");
});

Deno.test("what rests on the first segment alone is learned as without a cut", async () => {
  const gpu = await testGpu();
  const recipe = { ...RECIPE, firstTaskSteps: 0 };
  const tasks = await Promise.all(
    recipe.tasks.map(({ name, options }) => createTask(name, options)),
  );
  const drawn = trainingBatch({ ...recipe, points: [{ length: 24 }] }, tasks, 0);
  // What is due is due in the first six tokens of each sequence, or only in the last.
  const batchAt = (place: number): TrainingBatch => ({
    ...drawn,
    rows: Uint32Array.from({ length: drawn.sequences }, (_, i) => i * drawn.time + place),
    labels: new Uint32Array(drawn.sequences).fill(17),
    weights: new Float32Array(drawn.sequences).fill(1 / drawn.sequences),
    taskOf: new Uint32Array(drawn.sequences),
  });
  const after = async (segments: number, place: number): Promise<number[]> => {
    using trainer = new Trainer(gpu, { ...recipe, segments });
    for (const { losses, correct } of trainer.step(batchAt(place), 0, 3e-3)) {
      losses[Symbol.dispose]();
      correct[Symbol.dispose]();
    }
    const values = await gpu.read(
      [...trainer.model.parameters.values()].map(({ tensor }) => tensor),
    );
    return values.flatMap((part) => Array.from(part));
  };
  // Adam's first step is its rate in each direction: what differs is which gradients are 0 or turn.
  assert(farthest(await after(1, 5), await after(4, 5)) < 1e-5);
  assert(farthest(await after(1, 23), await after(4, 23)) > 1e-4);
});

Deno.test("state passing begins a step with the state that the last one ended with", async () => {
  const recipe = { ...RECIPE, firstTaskSteps: 0 };
  const apart = await twoSteps(recipe);
  const passed = await twoSteps({ ...recipe, statePassing: 1 });
  assert(farthest(apart.losses[0], passed.losses[0]) < 1e-6, "the first step has none before it");
  assert(farthest(apart.losses[1], passed.losses[1]) > 1e-4, "the second has");
  const gpu = await testGpu();
  const model = architecture("transformer", { vocabulary: 64, width: 16, layers: 1 });
  assertThrows(
    () => new Trainer(gpu, { ...recipe, model, statePassing: 0.5 }),
    RangeError,
    "with state passing as it has attention",
  );
});
