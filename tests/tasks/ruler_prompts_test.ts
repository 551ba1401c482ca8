import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  chatTemplate,
  createTask,
  RULER_TASKS,
  type RulerName,
  type SampleCoordinates,
} from "../../tasks/mod.ts";
import { AT, FILES, make, OPTIONS, samplesOf, textOf, TOKENIZERS } from "./ruler_samples.ts";

Deno.test.afterAll(() => FILES[Symbol.dispose]());

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
    // A needle stands between sentences, of which "Mr." is not an end; or behind the last, which is cut.
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
