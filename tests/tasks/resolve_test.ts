import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { parseRows, runSweep, type SweepConfiguration, writeReport } from "../../tasks/mod.ts";
import type { ModelDescription } from "../../tasks/subjects/description.ts";
import { resolveModel } from "../../tasks/subjects/resolve.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { readJournal } from "../../tasks/sweep/journal.ts";
import { hashOf } from "../../tasks/sweep/configuration.ts";
import { sweepHash } from "../../tasks/sweep/run.ts";
import { VERSION } from "../../tasks/version.ts";
import { findRecipe } from "../../tasks/training/recipe.ts";
import { inFolder, inNewFolder } from "../testing.ts";
import { TOKENIZER, VOCABULARY, writeLlama } from "./tiny_llama.ts";

Deno.test("a name is resolved into what a model is and how it is opened", () =>
  inFolder(async (folder) => {
    const name = "transformer-mixture+window16+sinks2";
    const committed = { kind: "committed", model: "transformer-mixture" } as const;
    const changes = ["window16", "sinks2"];
    assertEquals(await resolveModel(name), { name, changes, ...committed });
    const entry = { model: name, name: "windowed", dtype: "f16", trainLength: 32 } as const;
    assertEquals(await resolveModel(entry), {
      ...{ name: "windowed", changes, dtype: "f16", trainLength: 32 },
      ...committed,
    });

    const hub = "hf:state-spaces/mamba2-130m";
    const known = { trainLength: 2048, tokenizer: { owner: "EleutherAI", name: "gpt-neox-20b" } };
    assertEquals(await resolveModel(`${hub}+x`), {
      ...{ name: `${hub}+x`, changes: ["x"], kind: "published", place: hub, known },
      hub: { repository: "state-spaces/mamba2-130m", revision: "main" },
    });

    // A folder may have a plus in its name, with changes behind it.
    const model = join(folder, "a+b");
    await writeLlama(model);
    assertEquals(await resolveModel(`${model}+nope`), {
      ...{ name: `${model}+nope`, changes: ["nope"], kind: "published", place: model },
    });

    const recipe = findRecipe("kda-mixture");
    const path = join(folder, "mine.json");
    await Deno.writeTextFile(path, JSON.stringify({ ...recipe, name: "mine" }));
    const place = { folder, train: false };
    assertEquals(await resolveModel("kda-mixture+nope", place), {
      ...{ name: "kda-mixture+nope", changes: ["nope"], kind: "recipe", recipe },
      ...{ folder: join(folder, "kda-mixture"), train: false },
    });
    assertEquals(await resolveModel({ model: path, name: "m" }, place), {
      ...{ name: "m", changes: [], kind: "recipe", recipe: { ...recipe, name: "mine" } },
      ...{ folder: join(folder, "mine"), train: false },
    });
    // A sweep's own recipes come first.
    const own = { ...recipe, name: "gla-mixture" };
    const resolved = await resolveModel("gla-mixture", { ...place, recipes: [own] });
    assertEquals(resolved.kind, "recipe");
  }));

Deno.test("a sweep's settings are those of models that have none of their own", () =>
  inFolder(async (folder) => {
    await writeLlama(folder);
    const settings = { tokenizer: "elsewhere", dtype: "f16", trainLength: 64 } as const;
    const of = async (entry: { dtype?: "f32"; tokenizer?: string }): Promise<unknown> => {
      const { tokenizer, dtype, trainLength } = await resolveModel(
        { model: folder, ...entry },
        { settings },
      );
      return { tokenizer, dtype, trainLength };
    };
    assertEquals(await of({}), settings);
    assertEquals(await of({ dtype: "f32", tokenizer: "own" }), {
      ...{ tokenizer: "own", dtype: "f32", trainLength: 64 },
    });
    const committed = await resolveModel("gla-text", { settings });
    assertEquals([committed.tokenizer, committed.dtype], [undefined, "f16"]);
    await assertRejects(
      () => resolveModel({ model: "gla-text", tokenizer: "other" }),
      Error,
      "leave the tokenizer out",
    );
  }));

Deno.test("what is not a model is named as what it is", () =>
  inFolder(async (folder) => {
    const fails = async (name: string, message: string): Promise<string> =>
      (await assertRejects(() => resolveModel(name), Error, message)).message;
    const missing = await fails("./nosuch", "./nosuch as there is no such file or folder;");
    assert(!missing.includes("hf:./"), missing);
    await fails("owner/name", "on the hub it would be hf:owner/name;");
    await fails(join(folder, "none.pth"), "there is no such file or folder;");
    await fails("mamba2-mixtur", `Did you mean "mamba2-mixture"?`);
    await fails(folder, `Cannot find a model in ${folder} as it holds no recipe.json`);
    await Deno.writeTextFile(join(folder, "recipe.json"), "{}");
    await fails(folder, "its training has not come to an end");
    await Deno.writeTextFile(join(folder, "x.json"), "{");
    await fails(join(folder, "x.json"), "it is not valid JSON");
  }));

Deno.test("two recipes of one name are told before anything is trained", () =>
  inFolder(async (folder) => {
    const recipe = findRecipe("gla-mixture");
    const files = ["a.json", "b.json"].map((name) => join(folder, name));
    const source = new ModelSource();
    await Deno.writeTextFile(files[0], JSON.stringify(recipe));
    await Deno.writeTextFile(files[1], JSON.stringify({ ...recipe, seed: 2 }));
    await assertRejects(
      () => source.find(files, { folder }),
      Error,
      `Cannot train two recipes that are called gla-mixture into ${join(folder, "gla-mixture")}`,
    );
    const twice = [files[0], { model: files[0], name: "changed", trainLength: 32 }];
    assertEquals((await source.find(twice, { folder })).map(({ name }) => name), [
      files[0],
      "changed",
    ]);
  }));

Deno.test("a description that was written down opens the model", async () => {
  await using source = new ModelSource();
  const [card] = await source.find(["transformer-mixture+window16"]);
  const written = JSON.stringify(card.description);
  const again = await source.describe(JSON.parse(written) as ModelDescription);
  assertEquals(JSON.stringify(again), JSON.stringify(card));
  await using subject = await source.load(again);
  assertEquals(subject.stateBytes(1000), card.stateBytes!(16));
});

Deno.test("checkpoints side by side, each with its own template, tokenizer and training length", () =>
  inNewFolder(async (folder) => {
    const model = join(folder, "tiny");
    await writeLlama(model);
    const file = join(folder, "turns.jinja");
    await Deno.writeTextFile(file, "{{ eos_token }}Q: {{ messages[0].content }}\nA:");
    const configuration: SweepConfiguration = {
      name: "side-by-side",
      models: [
        model,
        { model, name: "turns", template: file, trainLength: 100 },
        { model, name: "lent", tokenizer: TOKENIZER, dtype: "f32" },
      ],
      tasks: ["niah_single_1"],
      lengths: [1024],
      depths: [],
      loads: [],
      seeds: [0],
      samples: 1,
    };
    await using source = new ModelSource();
    const out = join(folder, "out");
    const { rows, failed } = await runSweep(configuration, source, { out });
    assertEquals(failed, []);
    assertEquals(
      rows.filter(({ metric }) => metric === "accuracy").map((row) => [
        ...[row.model, row.template, row.train_length],
      ]),
      [[model, "base", 128], ["turns", "turns", 100], ["lent", "base", 128]],
    );
    // The file's text is what is asked, its special tokens those of the tokenizer.
    const cards = await source.find(configuration.models);
    const task = await cards[1].task("niah_single_1", {}, file);
    const { tokens } = task.sample({ length: 1024, seed: 0, index: 0, split: "test" });
    assertEquals([tokens[0], task.vocabulary], [0, VOCABULARY]);
    // Another template in the file is another sweep.
    const { header } = (await readJournal(out))!;
    assertEquals(await sweepHash(configuration, cards), header.hash);
    await Deno.writeTextFile(file, "{{ messages[0].content }}");
    assert(await sweepHash(configuration, cards) !== header.hash);
    await assertRejects(
      () => runSweep({ ...configuration, models: [model, model] }, source, { out }),
      RangeError,
      `is listed twice: give one of them another "name"`,
    );
  }));

Deno.test("a sweep that names its models plainly has the hash that it had before", async () => {
  const source = new ModelSource();
  const models = ["transformer-mixture"];
  const configuration: SweepConfiguration = {
    ...{ name: "old", models, tasks: ["mqar"], lengths: ["1x"], depths: [], loads: [] },
    ...{ seeds: [0], samples: 2 },
  };
  const [card] = await source.find(models);
  const { name, family, parameters, trainLength, window, fingerprint } = card;
  const identity = [name, family, parameters, trainLength, window, fingerprint];
  const before = await hashOf([configuration, VERSION, [identity], []]);
  assertEquals(await sweepHash(configuration, [card]), before);
  // How weights are kept was said beside the sweep, and stood in the fingerprint alone.
  assertEquals(await sweepHash({ ...configuration, dtype: "f16" }, [card]), before);
});

Deno.test("lengths that are given need no training length, multiples of it do", () =>
  inNewFolder(async (folder) => {
    const model = join(folder, "tiny");
    await writeLlama(model);
    const config = JSON.parse(await Deno.readTextFile(join(model, "config.json")));
    delete config.max_position_embeddings;
    await Deno.writeTextFile(join(model, "config.json"), JSON.stringify(config));
    const text = join(folder, "text.txt");
    await Deno.writeTextFile(text, "To be, or not to be: that is the question. ".repeat(20));
    const configuration: SweepConfiguration = {
      ...{ name: "lengths", models: [model], tasks: ["text"], lengths: [32], depths: [] },
      ...{ loads: [], seeds: [0], samples: 2, taskOptions: { text: { file: text } } },
    };
    await using source = new ModelSource();
    const { rows } = await runSweep(configuration, source, { out: join(folder, "a") });
    assertEquals(rows[0].train_length, undefined);
    const csv = parseRows(await Deno.readTextFile(join(folder, "a", "sweep.csv")), "a");
    assertEquals(csv[0].train_length, undefined);
    const { page } = await writeReport(join(folder, "a"), [{ name: "a", rows: csv }], {
      files: [],
    });
    assertStringIncludes(await Deno.readTextFile(page), "trained at");
    await assertRejects(
      () => runSweep({ ...configuration, lengths: ["2x"] }, source, { out: join(folder, "b") }),
      Error,
      "give it with --train-length, or give --lengths in tokens",
    );
    const told = { ...configuration, lengths: ["2x"], trainLength: 16 } as const;
    const { rows: [row] } = await runSweep(told, source, { out: join(folder, "c") });
    assertEquals([row.length, row.train_length], [32, 16]);
  }));
