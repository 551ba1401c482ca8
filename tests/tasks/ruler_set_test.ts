import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import {
  BASE_TEMPLATE,
  chatTemplate,
  createTask,
  type RulerName,
  type Sample,
  scoreReply,
  type Task,
  TASK_NAMES,
} from "../../tasks/mod.ts";
import { parseCommand } from "../../tasks/commands/options.ts";
import { RULER, rulerCommand } from "../../tasks/commands/ruler.ts";
import { rulerFiles } from "./ruler_files.ts";
import { wordTokenizer } from "./word_tokenizer.ts";
import { answerRuler } from "./ruler_oracle.ts";
import { BYTE_TOKENIZER } from "../../models/mod.ts";

const FILES = rulerFiles();
Deno.test.afterAll(() => FILES[Symbol.dispose]());

const OUT = join(FILES.folder, "set");
const AT = { length: 4096, seed: 0, index: 0, split: "test" } as const;
const WORDING = { tokenizer: BYTE_TOKENIZER, template: BASE_TEMPLATE };

/** Runs `deno task ruler`, and gives what it printed. */
async function ruler(...args: string[]): Promise<string[]> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line: string) => void lines.push(line);
  try {
    await rulerCommand(parseCommand(RULER, args));
  } finally {
    console.log = log;
  }
  return lines;
}

interface Line {
  index: number;
  input: string;
  outputs: string[];
  length: number;
  answer_prefix?: string;
  token_position_answer?: number;
}

/** The first lines of a set. */
async function linesOf(path: string): Promise<Line[]> {
  return (await Deno.readTextFile(path)).trimEnd().split("\n").map((line) => JSON.parse(line));
}

function set(name: RulerName, path: string): Promise<Task> {
  return createTask(name, { set: path }, WORDING);
}

Deno.test("deno task ruler writes what RULER's scripts read, and a set asks what it was made of", async () => {
  const { squad, hotpotqa } = FILES;
  const printed = await ruler(
    ...["--lengths", "4k,8k", "--samples", "3", "--seed", "5", "--out", OUT],
    ...["--squad", squad, "--hotpotqa", hotpotqa],
  );
  assertEquals(printed.length, 26);
  for (const line of printed) {
    const path = line.split("  ")[0];
    const [, length, name] = path.match(/set\/(\d+)\/data\/(\w+)\/validation\.jsonl$/)!;
    const ours = await createTask(name as RulerName, { squad, hotpotqa }, WORDING);
    const theirs = await set(name as RulerName, OUT);
    const lines = await linesOf(path);
    assertEquals(lines.map(({ index }) => index), [0, 1, 2]);
    for (
      const { index, input, outputs, length: used, answer_prefix, token_position_answer } of lines
    ) {
      const made = ours.sample({ ...AT, seed: 5, index, length: Number(length) });
      const read = theirs.sample({ ...AT, index, length: Number(length) });
      assertEquals(read.tokens, made.tokens);
      const { evidence: _made, ...reply } = made.reply!;
      const { evidence: _read, ...replyRead } = read.reply!;
      assertEquals(replyRead, reply);
      if (name.startsWith("niah_")) assertEquals(read.reply!.evidence, made.reply!.evidence);
      // RULER's definitions, in bytes.
      assertEquals(used, input.length + answer_prefix!.length + reply.budget);
      assertEquals(outputs, reply.references);
      if (!/^qa_2/.test(name)) assertEquals(token_position_answer, input.indexOf(outputs[0]));
    }
  }
});

Deno.test("older sets have the answer prefix in the input; a chat template asks without it", async () => {
  const chat = chatTemplate("<user>{{ messages[0].content }}</user>");
  for (const name of ["niah_single_1", "vt", "cwe", "fwe"] as const) {
    const path = join(OUT, "8192", "data", name, "validation.jsonl");
    const lines = await linesOf(path);
    const older = join(OUT, `older-${name}.jsonl`);
    await Deno.writeTextFile(
      older,
      lines.map(({ index, input, outputs, length, answer_prefix }) =>
        JSON.stringify({ index, input: input + answer_prefix, outputs, length })
      ).join("\n"),
    );
    const [task, now] = [await set(name, older), await set(name, path)];
    assertEquals(task.sample({ ...AT, length: 8192 }), now.sample({ ...AT, length: 8192 }));
    const asked = await createTask(name, { set: older }, { ...WORDING, template: chat });
    const { tokens, reply } = asked.sample({ ...AT, length: 8300 });
    const text = BYTE_TOKENIZER.decode(tokens);
    const { input, answer_prefix } = lines[0];
    assertEquals(text, `<user>${input}</user>${answer_prefix}`);
    assertEquals(scoreReply(reply!, answerRuler(text)), 1);
  }
});

Deno.test("what RULER's own scripts made is asked as it is, and ours is framed the same", async () => {
  const golden = fromFileUrl(new URL("../golden/ruler", import.meta.url));
  const wording = { ...WORDING, tokenizer: wordTokenizer() };
  const frame = (text: string): string[] =>
    text.split("\n")
      .filter((line) =>
        /^(A|Some|What|Memorize|Question:|Below|Read|Answer|The following) /.test(line)
      )
      .map((line) =>
        line.replaceAll(/[0-9a-f]{4,}(-[0-9a-f]{4,})+/g, "…").replaceAll(/[a-z]+-[a-z]+/g, "…")
          .replaceAll(/\d{5}/g, "…").replace(/(they are: ) [A-Z ]+$/, "$1…")
          .replace(/(in the list are:) 1\. .*$/, "$1…").replace(/(coded words\. ).*/, "$1…")
          .replace(/Who .* of \S+\?/, "…")
      );
  let files = 0;
  for await (const { name } of Deno.readDir(join(golden, "1536", "data"))) {
    files++;
    const lines = await linesOf(join(golden, "1536", "data", name, "validation.jsonl"));
    const theirs = await createTask(name as RulerName, { set: golden }, wording);
    const ours = await createTask(name as RulerName, { squad: FILES.squad }, wording);
    // Of needles, RULER's index is not a sample's number but where the answer stands.
    for (const [index, line] of lines.entries()) {
      const { input, answer_prefix, outputs, length, token_position_answer } = line;
      const { tokens, reply } = theirs.sample({ ...AT, length: 1536, index });
      const text = wording.tokenizer.decode(tokens);
      assertEquals(text, input + answer_prefix);
      // Their own counts.
      assertEquals(tokens.length + reply!.budget, length);
      assertEquals(reply!.references, outputs);
      if (!name.startsWith("qa")) assertEquals(scoreReply(reply!, answerRuler(text)), 1);
      if (token_position_answer !== undefined) {
        const needle = wording.tokenizer.decode(
          tokens.slice(reply!.evidence![0], token_position_answer),
        );
        assert(/^ ?One of the special magic \w+ for \S+ is:.{0,6}$/.test(needle), needle);
      }
      const made = ours.sample({ ...AT, length: 1536, index });
      assertEquals(frame(wording.tokenizer.decode(made.tokens)), frame(text), name);
      assert(frame(text).length >= 2);
    }
  }
  assertEquals(files, 7);
});

Deno.test("a set of RULER's own run, with its templates and line ends", async () => {
  // A line of niah.py, but for the essays.
  const path = join(OUT, "own", "4096", "niah_single_2", "validation.jsonl");
  await Deno.mkdir(dirname(path), { recursive: true });
  const filler = "I think the best test of this is to ask. ".repeat(80);
  const input =
    `[INST] A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you about the number afterwards.\n${filler}One of the special magic numbers for long-kitty is: 9375710. ${filler}\nWhat is the special magic number for long-kitty mentioned in the provided text? [/INST] The special magic number for long-kitty mentioned in the provided text is`;
  await Deno.writeTextFile(
    path,
    `${
      JSON.stringify({ index: 0, input: input.slice(0, 3900), outputs: ["9375710"], length: 4028 })
    }\n`,
  );
  const task = await set("niah_single_2", join(OUT, "own"));
  const { tokens, reply, depth } = task.sample(AT);
  assertEquals(BYTE_TOKENIZER.decode(tokens), input.slice(0, 3900));
  const needle = input.indexOf("One of the special");
  assertEquals([reply!.references, reply!.evidence, reply!.budget], [["9375710"], [needle], 128]);
  assertEquals(depth, needle / tokens.length);
  assertEquals([task.shortestLength(), task.longestLength], [4096, undefined]);
  assertThrows(
    () => task.sample({ ...AT, length: 8192 }),
    RangeError,
    "validation.jsonl: the lengths in",
  );
});

Deno.test("a seed asks a set in its own order, and a set has an end", async () => {
  const path = join(OUT, "many.jsonl");
  await Deno.writeTextFile(
    path,
    Array.from(
      { length: 40 },
      (_, index) =>
        JSON.stringify({
          index,
          input: `${"x".repeat(400)}${index}`,
          outputs: [`${index}`],
          length: 450,
        }),
    ).join("\n"),
  );
  const task = await set("fwe", path);
  const order = (seed: number): string[] =>
    Array.from(
      { length: 40 },
      (_, index) => task.sample({ ...AT, length: 512, seed, index }).reply!.references[0],
    );
  assertEquals(order(0), Array.from({ length: 40 }, (_, index) => String(index)));
  assert(order(1).join() !== order(0).join() && order(1).join() !== order(2).join());
  assertEquals(new Set(order(1)).size, 40);
  const wrong = [
    [{ index: 40 }, "Cannot ask sample 40 of"],
    [{ split: "train" as const }, "Cannot train on fwe of"],
    [{ length: 449 }, "the smallest length that works is 450"],
    [{ length: 450 }, "as it takes 452 with this tokenizer"],
    [{ length: 563 }, "the largest length that works is 562"],
  ] as const;
  for (const [other, message] of wrong) {
    assertThrows(
      (): Sample => task.sample({ ...AT, length: 512, index: 39, ...other }),
      RangeError,
      message,
    );
  }
});

Deno.test("what is not a set is refused with its line", async () => {
  const path = join(OUT, "wrong.jsonl");
  const cases = [
    ["", "as it has no samples"],
    ['\n{"input"', ":2 as it is not valid JSON"],
    ['{"index": 0, "input": "a", "length": 3}', ":1 as a sample of RULER as it must have input"],
    ['{"input": "a", "outputs": [], "length": 3}', "it has input, outputs, length"],
  ];
  for (const [text, message] of cases) {
    await Deno.writeTextFile(path, text);
    await assertRejects(() => set("vt", path), Error, message);
  }
  await assertRejects(() => set("vt", "/nowhere"), Error, "Cannot read /nowhere as a set of RULER");
  await assertRejects(
    () => set("niah_noise_word_uuid", OUT),
    Error,
    "it holds no <length>/data/niah_noise_word_uuid/validation.jsonl",
  );
});

Deno.test("deno task ruler refuses what it cannot make, and leaves no file", async () => {
  const out = join(FILES.folder, "none");
  const cases = [
    [
      ["--tasks", "niah_single_4"],
      'Unknown RULER task "niah_single_4". Did you mean "niah_single_1"?',
    ],
    [["--tasks", "niah_single_1", "--lengths", "256"], "the smallest length that works is"],
    [["--tasks", "qa_1"], "name its file with --squad"],
    [["--tasks", "vt", "--lengths", "2x"], "--lengths takes tokens"],
    [["--tasks", "vt", "--template", "chat"], "Cannot ask bytes in the template chat: it has base"],
  ] as const;
  for (const [args, message] of cases) {
    await assertRejects(() => ruler(...args, "--out", out), Error, message);
    await assertRejects(() => Deno.stat(out), Deno.errors.NotFound);
  }
});

Deno.test("every task's name is known", () => {
  assert(
    ["niah_single_1", "qa_2", "niah_needle_uuid_number"].every((name) =>
      (TASK_NAMES as readonly string[]).includes(name)
    ),
  );
  assertEquals(new Set(TASK_NAMES).size, TASK_NAMES.length);
});
