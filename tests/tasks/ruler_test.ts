import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { BYTE_TOKENIZER } from "../../models/mod.ts";
import { fit } from "../../tasks/generators/ruler/fit.ts";
import {
  RULER_NAMES,
  RULER_TASKS,
  type Sample,
  scoreReply,
  type TaskTokenizer,
  UNSCORED,
} from "../../tasks/mod.ts";
import { visibleShare } from "../../tasks/reply.ts";
import { answerRuler } from "./ruler_oracle.ts";
import {
  AT,
  FILES,
  make,
  NEEDLES,
  samplesOf,
  textOf,
  timesOf,
  TOKENIZERS,
} from "./ruler_samples.ts";

Deno.test.afterAll(() => FILES[Symbol.dispose]());

const LENGTHS = [256, 333, 512, 1024, 2048, 4096, 8192, 32768];

for (const [of, tokenizer] of Object.entries(TOKENIZERS)) {
  Deno.test(`every task of RULER fills every length that it fits in: ${of}`, async () => {
    const asked = new Map<string, number>();
    for (const name of RULER_TASKS) {
      const task = await make(name, tokenizer);
      const shortest = task.shortestLength();
      assertEquals([task.name, task.metric, task.template], [name, "accuracy", "base"]);
      for (const length of [shortest, shortest + 1, ...LENGTHS]) {
        if (length < shortest || (length > 8192 && of.endsWith("BPE"))) continue;
        const { tokens, labels, reply } = task.sample({ ...AT, length });
        const used = tokens.length + reply!.budget;
        assert(used <= length, `${name}: ${used} of ${length}`);
        // At the shortest length there is no haystack that could fill it.
        assert(length <= shortest + 1 || used >= 0.98 * length, `${name}: ${used} of ${length}`);
        assert(tokens.every((token) => token < tokenizer.vocabulary));
        assertEquals(labels, new Uint32Array(tokens.length).fill(UNSCORED));
        asked.set(name, (asked.get(name) ?? 0) + 1);
      }
    }
    assertEquals(asked.size, 13);
    assert([...asked.values()].every((count) => count >= 5), JSON.stringify([...asked]));
  });
}

Deno.test("the shortest length holds every sample, one token less is refused with it", async () => {
  for (const name of RULER_TASKS) {
    for (const tokenizer of [TOKENIZERS.words, TOKENIZERS.bytes]) {
      const task = await make(name, tokenizer);
      const length = task.shortestLength();
      for (let seed = 0; seed < 100; seed++) {
        const { tokens, reply } = task.sample({ ...AT, length, seed });
        assert(tokens.length + reply!.budget <= length);
      }
      assertThrows(
        () => task.sample({ ...AT, length: length - 1 }),
        RangeError,
        `the smallest length that works is ${length}`,
      );
    }
  }
  // A haystack makes even the short lengths worthwhile: most tasks fit in 256 tokens.
  const shortest = await Promise.all(
    RULER_TASKS.map(async (name) => [name, (await make(name)).shortestLength()] as const),
  );
  assertEquals(shortest.filter(([, length]) => length > 512).map(([name]) => name), ["cwe"]);
});

Deno.test("an oracle that looks the answer up scores 1 in every task and format, one that is silent 0", async () => {
  for (const name of RULER_NAMES) {
    if (name.startsWith("qa_")) continue;
    const task = await make(name);
    for (const length of [1024, 5000]) {
      for (const sample of samplesOf(task, 4, { length })) {
        assertEquals(scoreReply(sample.reply!, answerRuler(textOf(sample))), 1, name);
        assertEquals(scoreReply(sample.reply!, ""), 0);
      }
    }
    assertEquals(task.chance(), 0);
  }
});

Deno.test("a sample is a function of its coordinates: each of them makes another", async () => {
  for (const name of RULER_TASKS) {
    const [task, again] = [await make(name), await make(name)];
    const sample = task.sample(AT);
    again.sample({ ...AT, length: 1024, seed: 9 }); // what was asked before changes nothing
    assertEquals(again.sample(AT), sample);
    for (
      const other of [
        { seed: 1 },
        { index: 1 },
        { split: "train" as const },
        { length: 4000 },
        ...(task.depths ? [{ depth: 0.5 }] : []),
        ...(task.loads ? [{ load: 3 }] : []),
      ]
    ) {
      const { tokens } = task.sample({ ...AT, ...other });
      assertNotEquals(tokens.join(), sample.tokens.join(), `${name} ${JSON.stringify(other)}`);
    }
  }
});

Deno.test("what is asked for stands in the prompt as often as it should", async () => {
  for (const name of NEEDLES) {
    for (const sample of samplesOf(await make(name), 3)) {
      for (const reference of sample.reply!.references) {
        assertEquals(timesOf(reference, textOf(sample)), 1, `${name}: ${reference}`);
      }
    }
  }
  for (const sample of samplesOf(await make("vt"), 3)) {
    const times = sample.reply!.references.map((variable) => timesOf(variable, textOf(sample)));
    assertEquals(times, [2, 2, 2, 2, 1]);
  }
  const cwe = await make("cwe");
  for (const [length, common, others] of [[4095, 6, 1], [4096, 30, 3]]) {
    const [sample] = samplesOf(cwe, 1, { length });
    const list = textOf(sample).split("\n").at(-2)!;
    const words = Map.groupBy(list.matchAll(/\d+\. (\w+)/g), ([, word]) => word);
    for (const [word, places] of words) {
      assertEquals(places.length, sample.reply!.references.includes(word) ? common : others);
    }
    assertEquals(sample.reply!.references.length, 10);
  }
  for (const sample of samplesOf(await make("fwe"), 3)) {
    const words = Map.groupBy(textOf(sample).match(/\b[a-z]{6}\b|\.\.\./g)!, (word) => word);
    const [first, ...rest] = sample.reply!.references.map((word) => words.get(word)!.length);
    assert(words.get("...")!.length > first && first > rest[0] && rest[0] > rest[1]);
  }
});

Deno.test("cwe: with many tokens per word, 4096 keeps the recipe that fits; one recipe can be kept", async () => {
  const repeats = async (tokenizer: TaskTokenizer, length: number, recipe?: "short" | "long") => {
    const sample = (await make("cwe", tokenizer, { recipe })).sample({ ...AT, length });
    const list = textOf(sample, tokenizer).split("\n").at(-2)!;
    return timesOf(` ${sample.reply!.references[0]} `, `${list} `);
  };
  const { bytes, words } = TOKENIZERS;
  assertEquals([await repeats(bytes, 4096), await repeats(bytes, 16384)], [6, 30]);
  assertEquals([await repeats(words, 8192, "short"), await repeats(words, 3600, "long")], [6, 30]);
  const short = await make("cwe", words, { recipe: "short" });
  const long = await make("cwe", words, { recipe: "long" });
  assert(short.shortestLength() < 1024 && long.shortestLength() > 2048);
});

Deno.test("a needle is where the depth says, and its tokens are where the evidence says", async () => {
  for (const [of, tokenizer] of Object.entries(TOKENIZERS)) {
    for (
      const name of [
        "niah_single_1",
        "niah_single_2",
        "niah_multikey_2",
        "niah_multivalue",
      ] as const
    ) {
      const task = await make(name, tokenizer);
      for (const depth of [0, 0.25, 0.5, 1, undefined]) {
        for (const sample of samplesOf(task, 3, { depth })) {
          const { references, evidence, match } = sample.reply!;
          references.forEach((value, i) => {
            const needle = new RegExp(`One of the special magic \\w+ for \\S+ is: ${value}\\.`);
            assert(
              needle.test(
                textOf({ ...sample, tokens: sample.tokens.slice(evidence![i]) }, tokenizer),
              ),
            );
            assert(
              !needle.test(
                textOf({ ...sample, tokens: sample.tokens.slice(evidence![i] + 1) }, tokenizer),
              ),
            );
          });
          assertEquals(
            visibleShare({ ...sample.reply!, match }, sample.tokens.length, sample.tokens.length),
            1,
          );
          const first = Math.min(...evidence!);
          if (depth === undefined) continue;
          // Needles stand at a sentence's end; the instruction before the haystack is short.
          const share = first / sample.tokens.length;
          assert(Math.abs(share - depth) < 0.13, `${of} ${name} at ${depth}: ${share}`);
          assert(Math.abs(sample.depth! - depth) < 0.04, `${name} at ${depth}: ${sample.depth}`);
        }
      }
      assertThrows(() => task.sample({ ...AT, depth: 1.5 }), RangeError, "a depth must be from 0");
    }
  }
});

Deno.test("depths that are drawn spread over the haystack, in essays over RULER's 40", async () => {
  const essay = samplesOf(await make("niah_single_2"), 400, { length: 2048 });
  const noise = samplesOf(await make("niah_single_1"), 400, { length: 2048 });
  for (const samples of [essay, noise]) {
    const depths = samples.map(({ depth }) => depth!);
    const mean = depths.reduce((sum, depth) => sum + depth, 0) / depths.length;
    assert(Math.abs(mean - 0.5) < 0.06, `${mean}`);
    assert(depths.some((depth) => depth < 0.05) && depths.some((depth) => depth > 0.95));
  }
  assertEquals((await make("niah_multivalue")).sample(AT).depth, undefined);
  const percent = Array.from({ length: 40 }, (_, i) => Math.round(100 * i / 39));
  for (const { depth } of samplesOf(await make("niah_single_2"), 40, { length: 32768 })) {
    // A place is the sentence before it, of some 900.
    const nearest = Math.min(...percent.map((value) => Math.abs(100 * depth! - value)));
    assert(nearest < 0.25, `${depth}`);
  }
});

Deno.test("what a model with a window can know: needles and variables in its last tokens", async () => {
  for (const name of ["niah_single_1", "niah_multiquery", "vt"] as const) {
    for (const sample of samplesOf(await make(name), 10, { length: 2048 })) {
      const { tokens, reply } = sample;
      for (const window of [64, 300, 900]) {
        const seen = textOf({ ...sample, tokens: tokens.slice(-window) });
        const found = reply!.references.filter((reference) =>
          name === "vt" ? seen.includes(`VAR ${reference}`) : seen.includes(reference)
        ).length / reply!.references.length;
        // A window may begin inside a needle, of which the evidence is the beginning.
        const law = visibleShare(reply!, tokens.length, window);
        assert(
          law <= found && found - law <= 1 / reply!.references.length,
          `${name} ${law} ${found}`,
        );
      }
    }
  }
});

Deno.test("the load is how many keys, values, queries or hops there are", async () => {
  const needles = (sample: Sample) => timesOf("One of the special magic", textOf(sample));
  for (const load of [1, 2, 9, 50]) {
    const [keys] = samplesOf(await make("niah_multikey_1"), 1, { load });
    assertEquals([keys.reply!.references.length, needles(keys)], [1, load]);
    const [values] = samplesOf(await make("niah_multivalue"), 1, { load });
    assertEquals([values.reply!.references.length, needles(values)], [load, load]);
    const [queries] = samplesOf(await make("niah_multiquery"), 1, { load });
    assertEquals([queries.reply!.references.length, needles(queries)], [load, load]);
    const [hops] = samplesOf(await make("vt"), 1, { load });
    assertEquals(hops.reply!.references.length, load + 1);
    // RULER's budgets are for four answers and five variables.
    assertEquals(
      [keys, values, queries, hops].map(({ reply }) => reply!.budget),
      [
        128,
        Math.max(128, 32 * load),
        Math.max(128, 32 * load),
        Math.max(30, Math.ceil(7.5 * load)),
      ],
    );
    for (const sample of [keys, values, queries, hops]) {
      assertEquals(scoreReply(sample.reply!, answerRuler(textOf(sample))), 1);
    }
  }
  const task = await make("niah_multikey_1");
  assertEquals(task.loads, { counts: "keys", default: 4 });
  assertThrows(
    () => task.sample({ ...AT, load: 0 }),
    RangeError,
    "number of keys must be a positive integer",
  );
});

Deno.test("a million tokens: a sample takes seconds", async () => {
  const length = 2 ** 20;
  for (const name of ["niah_multikey_2", "vt"] as const) {
    const task = await make(name, BYTE_TOKENIZER);
    const started = performance.now();
    const sample = task.sample({ ...AT, length });
    const seconds = (performance.now() - started) / 1000;
    assert(seconds < 10, `${name}: ${seconds} s`);
    assert(sample.tokens.length + sample.reply!.budget >= 0.98 * length);
    assertEquals(scoreReply(sample.reply!, answerRuler(textOf(sample, BYTE_TOKENIZER))), 1);
  }
});

Deno.test("fit() finds the most that fits in few steps, whatever the counts do", () => {
  const search = (count: (pieces: number) => number, room: number, slack = 0, most?: number) => {
    let made = 0;
    const { pieces, exhausted } = fit(
      (pieces) => {
        made++;
        return { pieces, tokens: { length: count(pieces) } };
      },
      { room, slack, fewest: 0, most },
    );
    return { pieces, exhausted, made };
  };
  const steady = search((pieces) => 100 + Math.ceil(1.3 * pieces), 1_000_000, 1000);
  assert(steady.pieces > 767_000 && steady.pieces <= 769_153 && steady.made < 10, `${steady.made}`);
  for (const room of [100, 101, 777, 5000]) {
    assertEquals(search((pieces) => 100 + 3 * pieces, room).pieces, Math.floor((room - 100) / 3));
    // Jumps, flat stretches and steps back.
    const rough = (pieces: number): number => 100 + 2 * pieces + [0, 9, 9, 1, 40][pieces % 5];
    const { pieces, made } = search(rough, room);
    assert(rough(pieces) <= room && made < 40, `${pieces} in ${made}`);
    assert(rough(pieces) > room - 60);
  }
  const ended = search((pieces) => pieces, 1000, 0, 70);
  assertEquals([ended.pieces, ended.exhausted], [70, true]);
  assertEquals(search(() => 5, 1000, 0, 70).exhausted, true);
});
