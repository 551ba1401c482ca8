import { assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  BASE_TEMPLATE,
  parseRows,
  runSweep,
  type Sample,
  scoreReply,
  type SweepConfiguration,
  type Task,
  UNSCORED,
} from "../../tasks/mod.ts";
import { oracles, windowOracle } from "./window_oracle.ts";
import { inFolder } from "../testing.ts";

Deno.test("a reply's score is the share of its references, or whether it holds any", () => {
  const references = ["Amber", "17", "jade"];
  const all = { budget: 8, references, match: "all" } as const;
  const any = { budget: 8, references, match: "any" } as const;
  assertEquals(scoreReply(all, "It is AMBER-17, jade."), 1);
  assertAlmostEquals(scoreReply(all, "it is amber."), 1 / 3);
  assertEquals([scoreReply(all, ""), scoreReply(any, "none")], [0, 0]);
  assertEquals(scoreReply(any, "some 17 or jade"), 1);
  // RULER's postprocess_pred(): control characters are line ends, spaces around a reply are none.
  const spaced = (reference: string) =>
    ({ budget: 8, references: [reference], match: "all" }) as const;
  assertEquals(scoreReply(spaced("a\nb"), "so: a\tb"), 1);
  assertEquals([scoreReply(spaced("end "), "the end \n"), scoreReply(spaced(" the"), " the")], [
    0,
    0,
  ]);
});

/** Asks for two words, at positions 1 and `length − 3`, in each template. */
function words(template: string): Task {
  return {
    name: "words",
    metric: "accuracy",
    vocabulary: 256,
    options: {},
    depths: false,
    template,
    chance: () => 0,
    shortestLength: () => 8,
    sample: ({ length }): Sample => ({
      tokens: new Uint32Array(length - 2),
      labels: new Uint32Array(length - 2).fill(UNSCORED),
      reply: {
        budget: 2,
        references: ["near", "far"],
        match: "all",
        evidence: [length - 5, 1],
      },
    }),
  };
}

const CONFIGURATION: SweepConfiguration = {
  name: "words",
  models: [],
  tasks: [],
  lengths: [16, 64],
  depths: [],
  loads: [],
  templates: [BASE_TEMPLATE.name, "chat"],
  seeds: [0],
  samples: 4,
};

Deno.test("a sweep asks in each template, scores replies and states their window law", () =>
  inFolder(async (folder) => {
    const oracle = windowOracle("reader", 32, ["text"]);
    const source = oracles([{
      ...oracle,
      tasks: ["words"],
      task: (_name, _options, template = "base") => Promise.resolve(words(template)),
      answer: async (samples) => ({
        ...await oracle.answer(samples),
        replies: samples.map(({ tokens }) => tokens.length < 32 ? "near and far" : "near"),
      }),
    }]);
    const { rows, failed } = await runSweep(CONFIGURATION, source, { out: join(folder, "a") });
    assertEquals(failed, []);
    assertEquals(
      rows.map(({ template, length, metric, value }) => [template, length, metric, value]),
      [16, 64].flatMap((length) =>
        ["base", "chat"].flatMap((template) => [
          [template, length, "accuracy", length === 16 ? 1 : 0.5],
          [template, length, "chance", 0],
          [template, length, "window_law", length === 16 ? 1 : 0.5],
        ])
      ),
    );

    assertEquals(rows.every((row) => row.replies_empty === 0), true);

    const terse = oracles([{
      ...oracle,
      tasks: ["words"],
      task: () => Promise.resolve(words("base")),
      answer: async (samples) => ({
        ...await oracle.answer(samples),
        replies: samples.map((_, i) => ["", " \n", "near", "far"][i]),
      }),
    }]);
    const quiet = { ...CONFIGURATION, templates: ["base"], lengths: [16] };
    await runSweep(quiet, terse, { out: join(folder, "d") });
    const csv = await Deno.readTextFile(join(folder, "d", "sweep.csv"));
    const [first] = parseRows(csv, "sweep.csv");
    assertEquals([first.metric, first.value, first.replies_empty], ["accuracy", 0.25, 2]);

    const silent = oracles([{
      ...oracle,
      tasks: ["words"],
      task: () => Promise.resolve(words("base")),
    }]);
    const result = await runSweep(CONFIGURATION, silent, { out: join(folder, "b") });
    assertEquals(result.failed.length, result.total);
    await assertRejects(
      () => runSweep({ ...CONFIGURATION, templates: [] }, source, { out: join(folder, "c") }),
      RangeError,
      "at least one template",
    );
  }));
