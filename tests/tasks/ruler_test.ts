import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { BYTE_TOKENIZER, loadTokenizer } from "../../models/mod.ts";
import { fit } from "../../tasks/generators/ruler/fit.ts";
import {
  BASE_TEMPLATE,
  chatTemplate,
  createTask,
  RULER_NAMES,
  RULER_TASKS,
  type RulerName,
  type RulerOptions,
  type Sample,
  type SampleCoordinates,
  scoreReply,
  type Task,
  type TaskTokenizer,
  UNSCORED,
} from "../../tasks/mod.ts";
import { visibleShare } from "../../tasks/reply.ts";
import { rulerFiles } from "./ruler_files.ts";
import { answerRuler } from "./ruler_oracle.ts";
import { wordTokenizer } from "./word_tokenizer.ts";

const FILES = rulerFiles();
Deno.test.afterAll(() => FILES[Symbol.dispose]());
const OPTIONS: RulerOptions = { squad: FILES.squad, hotpotqa: FILES.hotpotqa };
const GOLDEN = fromFileUrl(new URL("../golden/checkpoints", import.meta.url));
const TOKENIZERS: Readonly<Record<string, TaskTokenizer>> = {
  bytes: BYTE_TOKENIZER,
  words: wordTokenizer(),
  "byte-level BPE": await loadTokenizer(`${GOLDEN}/tokenizer_bytelevel`),
  "Llama's BPE": await loadTokenizer(`${GOLDEN}/tokenizer_llama`),
};
const LENGTHS = [256, 333, 512, 1024, 2048, 4096, 8192, 32768];
const NEEDLES = RULER_NAMES.filter((name) => name.startsWith("niah_"));
const AT = { length: 4096, seed: 0, index: 0, split: "test" } as const;

function make(name: RulerName, tokenizer = TOKENIZERS.words, options = OPTIONS): Promise<Task> {
  return createTask(name, options, { tokenizer, template: BASE_TEMPLATE });
}

function samplesOf(task: Task, count: number, at: Partial<SampleCoordinates> = {}): Sample[] {
  return Array.from({ length: count }, (_, index) => task.sample({ ...AT, index, ...at }));
}

function textOf({ tokens }: Sample, tokenizer = TOKENIZERS.words): string {
  return tokenizer.decode(tokens);
}

function timesOf(part: string, text: string): number {
  return text.split(part).length - 1;
}

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

Deno.test("cwe: with many tokens a word, 4096 keeps the recipe that fits; one recipe can be kept", async () => {
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
  assertThrows(() => task.sample({ ...AT, load: 0 }), RangeError, "number of keys must be a whole");
});

Deno.test("prompts are RULER's, word for word", async () => {
  const first = (name: RulerName) => make(name).then((task) => samplesOf(task, 1)[0]);
  const around = (text: string, begins: string, ends: string) => {
    assertEquals(text.slice(0, begins.length), begins);
    assertEquals(text.slice(-ends.length), ends);
  };
  const single = await first("niah_single_1");
  const [, key] = textOf(single).match(/What is the special magic number for (\S+) mentioned/)!;
  around(
    textOf(single),
    "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the number afterwards.\nThe grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.\n",
    `\nWhat is the special magic number for ${key} mentioned in the provided text? The special magic number for ${key} mentioned in the provided text is`,
  );
  const several = await first("niah_multiquery");
  const [, keys] = textOf(several).match(
    /special magic numbers for (.+) mentioned in the provided text\?/,
  )!;
  assert(/^\w+-\w+, \w+-\w+, \w+-\w+, and \w+-\w+$/.test(keys), keys);
  around(
    textOf(several),
    "Some special magic numbers are hidden within the following text. Make sure to memorize it. I will quiz you about the numbers afterwards.\n",
    `\nWhat are all the special magic numbers for ${keys} mentioned in the provided text? The special magic numbers for ${keys} mentioned in the provided text are`,
  );
  const vt = await first("vt");
  const [, value] = textOf(vt).match(/assigned the value (\d{5}), they are: $/)!;
  around(
    textOf(vt),
    "Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n",
    `\nQuestion: Find all variables that are assigned the value ${value} in the text above. Answer: According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value ${value}, they are: `,
  );
  assert(/they are: {2}[A-Z]{3} [A-Z]{3} [A-Z]{3} [A-Z]{3} [A-Z]{3}\n\nMemorize/.test(textOf(vt)));
  const cwe = await first("cwe");
  around(
    textOf(cwe),
    "Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones that appear most often.\n1. ",
    "\nQuestion: What are the 10 most common words in the above list? Answer: The top 10 words that appear most often in the list are:",
  );
  assert(/in the list are: 1\. \w+ (\d+\. \w+ ?){9}\nBelow/.test(textOf(cwe)));
  around(
    textOf(await first("fwe")),
    "Read the following coded text and track the frequency of each coded word. Find the three most frequently appeared coded words. ",
    "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are the three most frequently appeared words in the above coded text? Answer: According to the coded text above, the three most frequently appeared words are:",
  );
  around(
    textOf(await first("qa_1")),
    "Answer the question based on the given documents. Only give me the answer and do not output any other words.\n\nThe following are given documents.\n\nDocument 1:\n",
    " Answer:",
  );
  const budgets = await Promise.all(RULER_TASKS.map(async (name) => {
    const { budget, match } = (await first(name)).reply!;
    return `${name.split("_")[0]} ${budget} ${match}`;
  }));
  assertEquals([...new Set(budgets)], [
    "niah 128 all",
    "vt 30 all",
    "cwe 120 all",
    "fwe 50 all",
    "qa 32 any",
  ]);
});

Deno.test("a chat template wraps the question, is part of the length, and moves the evidence", async () => {
  const tokenizer = TOKENIZERS.words;
  const template = chatTemplate("<user>{{ messages[0].content | trim }}</user><assistant>");
  for (const name of ["niah_multivalue", "vt", "qa_1"] as const) {
    const task = await createTask(name, OPTIONS, { tokenizer, template });
    assertEquals(task.template, "chat");
    const sample = task.sample(AT);
    const { tokens, reply } = sample;
    const text = tokenizer.decode(tokens);
    assert(/^<user>.*<\/user><assistant> (?:The|Answer)[^<]*$/s.test(text), text.slice(-200));
    assert(tokens.length + reply!.budget > 0.98 * AT.length);
    const begins = tokenizer.decode(
      tokens.slice(Math.min(...reply!.evidence!), Math.min(...reply!.evidence!) + 3),
    );
    assert(/^ ?(One of|VAR|Document)/.test(begins), begins);
  }
});

Deno.test("essays can be a file's, and begin again where they end", async () => {
  const text = "Alpha is first. Mr. Beta is second! Is gamma third? It is, after delta.";
  const plain = join(FILES.folder, "essays.txt");
  const json = join(FILES.folder, "PaulGrahamEssays.json");
  await Deno.writeTextFile(plain, `${text}\n`);
  await Deno.writeTextFile(json, JSON.stringify({ text: text.replaceAll(" ", " \n") }));
  for (const essays of [plain, json]) {
    const [sample] = samplesOf(await make("niah_single_2", undefined, { essays }), 1, {
      length: 1024,
    });
    const haystack = textOf(sample).split("\n")[1].replace(/One of the special magic.*?\d\. ?/, "");
    assert(`${text} `.repeat(60).includes(haystack), haystack);
    assert(haystack.length > 20 * text.length);
    assert(/One of the special magic/.test(textOf(sample)));
    // A needle stands between sentences, of which "Mr." is no end; or behind the last, which is cut.
    for (const { tokens } of samplesOf(await make("niah_multikey_1", undefined, { essays }), 20)) {
      const before = [
        ...TOKENIZERS.words.decode(tokens).matchAll(/(\S+)\sOne of the special[^.]+\.(?!\n)/g),
      ];
      assert(
        before.every(([, word]) =>
          /^(first\.|second!|third\?|delta\.|afterwards\.|\d+\.)$/.test(word)
        ),
      );
    }
  }
  await assertRejects(
    () => make("niah_single_2", undefined, { essays: "/nowhere.txt" }),
    Error,
    "Cannot read the haystack /nowhere.txt",
  );
  const empty = join(FILES.folder, "empty.json");
  await Deno.writeTextFile(empty, "{}");
  await assertRejects(
    () => make("niah_single_2", undefined, { essays: empty }),
    Error,
    "must hold text",
  );
});

Deno.test("qa: the passages that hold the answer are there, whole, wherever the seed or the depth says", async () => {
  for (const name of ["qa_1", "qa_2"] as const) {
    const task = await make(name);
    const places: number[] = [];
    for (const depth of [undefined, 0, 0.5, 1]) {
      for (const sample of samplesOf(task, 40, { length: 2048, depth })) {
        const text = textOf(sample);
        const [, question] = text.match(/\n\nQuestion: (.*) Answer:$/)!;
        const documents = [...text.matchAll(/Document (\d+):\n(.*?)\n\n(?=Document|Answer)/gs)];
        assertEquals(documents.map(([, number]) => Number(number)), documents.map((_, i) => i + 1));
        const person = question.match(/person (\d+)/)?.[1];
        const golds = name === "qa_1"
          ? [`The mayor of ${question.match(/of (\S+)\?/)![1]} was keeper`]
          : [
            `Person ${person} was born in place ${person}.`,
            `Through place ${person} flows river-${person}.`,
          ];
        const found = golds.map((gold) => documents.findIndex(([, , body]) => body.includes(gold)));
        assert(found.every((index) => index >= 0), text);
        const { evidence, references } = sample.reply!;
        assertEquals(evidence!.length, references.length);
        const begins = TOKENIZERS.words.decode(sample.tokens.slice(evidence![0]));
        assert(begins.startsWith(`Document ${Math.min(...found) + 1}:`), begins.slice(0, 80));
        const others = documents.length - golds.length;
        if (depth === undefined) places.push(found[0] / (documents.length - 1));
        else assertEquals(Math.min(...found), Math.round(depth * others));
        if (golds.length === 1 || depth !== undefined) {
          assertEquals(sample.depth, Math.min(...found) / others);
        }
      }
    }
    const mean = places.reduce((sum, place) => sum + place, 0) / places.length;
    assert(Math.abs(mean - 0.5) < 0.15 && new Set(places).size > 5, `${mean}`);
  }
  assertEquals((await make("qa_1")).chance(), 0);
  assertEquals((await make("qa_2")).chance(), 0.25);
});

Deno.test("qa: a seed asks the same questions at every length, none twice, none of training's", async () => {
  const task = await make("qa_1");
  const asked = (at: Partial<SampleCoordinates>, count: number) =>
    samplesOf(task, count, at).map((sample) => textOf(sample).match(/Question: (.*) Answer/)![1]);
  const test = asked({}, 108);
  assertEquals(new Set(test).size, 108);
  assertEquals(asked({ length: 2048 }, 108), test);
  assertNotEquals(asked({ seed: 1 }, 108), test);
  const train = asked({ split: "train" }, 12);
  assert(new Set(train).size === 12 && train.every((question) => !test.includes(question)));
});

Deno.test("qa: a file that is not named, or is another, is an error that says where to get it", async () => {
  await assertRejects(
    () => createTask("qa_1"),
    Error,
    "Cannot ask qa_1 without SQuAD 2.0: name its file with --squad (the option squad), which is at https://",
  );
  await assertRejects(() => createTask("qa_2"), Error, "hotpot_dev_distractor_v1.json");
  await assertRejects(
    () => createTask("qa_1", { squad: FILES.hotpotqa }),
    Error,
    `Cannot read ${FILES.hotpotqa} as SQuAD 2.0`,
  );
  await assertRejects(
    () => createTask("qa_2", { hotpotqa: "/nowhere" }),
    Error,
    "Cannot read /nowhere",
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
