import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join, relative } from "@std/path";
import { architecture } from "../../models/mod.ts";
import { enumerateCells, type SweepConfiguration } from "../../tasks/mod.ts";
import { ModelSource } from "../../tasks/subjects/source.ts";
import { textsOf } from "../../tasks/sweep/cells.ts";
import { sweepHash } from "../../tasks/sweep/run.ts";
import { inFolder } from "../testing.ts";
import { ending, script } from "./process.ts";

/** A text that is all of one letter but for its last tenth. */
const TEXT = "a".repeat(900) + "b".repeat(100);

Deno.test("a text that a model was not trained on is asked whole, another's its last tenth", () =>
  inFolder(async (folder) => {
    const file = join(folder, "mine.txt");
    await Deno.writeTextFile(file, TEXT);
    const recipe = join(folder, "recipe.json");
    const model = architecture("gla", { vocabulary: 256, width: 16, layers: 1 });
    const tasks = [{ name: "text", options: { file } }];
    await Deno.writeTextFile(recipe, JSON.stringify({ name: "own", model, tasks }));
    const source = new ModelSource();
    const names = ["gla-text", { model: recipe, name: "own" }, "mamba2-parity"];
    const [committed, own] = await source.find(names);

    const book = await committed.task("text");
    assertEquals([book.options.heldOut, book.source], [0.1, "the last tenth of Moby-Dick"]);
    const read = (task: typeof book): Set<number> => {
      const samples = Array.from(
        { length: 40 },
        (_, index) => task.sample({ length: 16, seed: 0, index, split: "test" }).tokens,
      );
      return new Set(samples.flatMap((tokens) => [...tokens]));
    };
    for (const name of ["text", "forgetting-curve", "context-gain"]) {
      const whole = await committed.task(name, { file });
      assertEquals([whole.options.heldOut, whole.source], [1, `all of ${file}`], name);
    }
    const whole = await committed.task("text", { file });
    assertEquals(whole.longestLength, TEXT.length - 1);
    assert(read(whole).has("a".charCodeAt(0)));
    const asked = await committed.task("text", { file, heldOut: 0.5 });
    assertEquals(asked.source, `the last 50% of ${file}`);

    // Its own text, however it is called, was seen but for the last tenth.
    for (const options of [{}, { file }, { file: relative(Deno.cwd(), file) }]) {
      const part = await own.task("text", options);
      assertEquals(part.options.heldOut, 0.1);
      assertEquals([...read(part)], ["b".charCodeAt(0)]);
    }
    assertEquals((await own.task("text", { file: recipe })).source, `all of ${recipe}`);
  }));

Deno.test("which text was asked is told, and a sweep of before this is another one", () =>
  inFolder(async (folder) => {
    const file = join(folder, "mine.txt");
    await Deno.writeTextFile(file, TEXT);
    const source = new ModelSource();
    const cards = await source.find(["gla-text", "mamba2-text"]);
    const configuration: SweepConfiguration = {
      ...{ name: "texts", models: ["gla-text", "mamba2-text"], tasks: ["text"], lengths: [32] },
      ...{ depths: [], loads: [], seeds: [0], samples: 2 },
    };
    const textsIn = async (grid: SweepConfiguration): Promise<string[]> =>
      textsOf(await enumerateCells(grid, cards));
    assertEquals(await textsIn(configuration), ["text: the last tenth of Moby-Dick"]);
    const other = { ...configuration, taskOptions: { text: { file } } };
    assertEquals(await textsIn(other), [`text: all of ${file}`]);
    const learned = cards.map((card) => ({ ...card, tasks: [] }));
    assert(await sweepHash(other, cards) !== await sweepHash(other, learned));
    assertEquals(await sweepHash(configuration, cards), await sweepHash(configuration, learned));

    const out = join(folder, "out");
    const args = ["eval", "--models", "gla-text", "--tasks", "text", "--text", file, "--out", out];
    const { code, stdout, stderr } = await ending(
      script("tasks/main.ts", [...args, "--lengths", "32", "--samples", "2", "--seeds", "0"]),
    );
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, `\ntext: all of ${file}\n`);
    const page = await Deno.readTextFile(join(out, "report.html"));
    assertStringIncludes(page, `Texts that were asked: text: all of ${file}.`);
  }));
