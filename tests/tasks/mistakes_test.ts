import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { runCommandLine } from "../../tasks/command_line.ts";
import { COMMANDS } from "../../tasks/commands/mod.ts";
import { exampleRows } from "./example_rows.ts";
import { formatRows } from "../../tasks/mod.ts";
import { ROOT } from "./process.ts";

/** What a command line said. */
interface Said {
  readonly code: number;
  readonly out: string[];
  readonly errors: string[];
}

/** Runs a command line in this process. */
async function run(args: readonly string[]): Promise<Said> {
  const said = { out: [] as string[], errors: [] as string[] };
  const { log, error } = console;
  console.log = (line: string) => void said.out.push(line);
  console.error = (line: string) => void said.errors.push(line);
  try {
    return { code: await runCommandLine(args, COMMANDS), ...said };
  } finally {
    [console.log, console.error] = [log, error];
  }
}

const T = await Deno.makeTempDir({ prefix: "mistakes" });
Deno.test.afterAll(async () => await Deno.remove(T, { recursive: true }));

/** Files that are not what they are taken for. */
const FILES: Readonly<Record<string, string>> = {
  "bad.json": "{",
  "odd.json": '{"name": "odd", "lenghts": [64]}',
  "noted.json": '{\n  // mine\n  "models": []\n}',
  "grids.json": '{"grids": {"passky": {"samples": 2}}}',
  "list.json": "[]",
  "unnamed.json": '{"models": [{"model": "gla-text", "name": " "}]}',
  "empty.txt": "",
  "file": "a file, and no folder",
  "notes.md": "# Not a model",
  "bad.jinja": "{% for x in %}",
  "hyena/config.json": '{"architectures": ["HyenaForCausalLM"]}',
  "cut/config.json": '{"architectures": ["Lla',
  "unfinished/recipe.json": "{}",
  "uneven/sweep.csv": "model,task\na,b,c\n",
  "plain/sweep.csv": formatRows(exampleRows()),
  "mine/log.csv": "day,weight\n1,80\n",
  "empty/.keep": "",
};
for (const [name, text] of Object.entries(FILES)) {
  const path = join(T, name);
  await Deno.mkdir(join(path, ".."), { recursive: true });
  await Deno.writeTextFile(path, text);
}

/** A checkpoint that comes without its tokenizer. */
const LLAMA = "tests/golden/checkpoints/published/llama";
const sweep = (...args: string[]): string[] => ["sweep", "--out", join(T, "out"), ...args];
const gla = (...args: string[]): string[] =>
  sweep("--models", "gla-text", "--lengths", "4k", ...args);

/** What is typed, and what the one line must say: the cause, and what to do about it. */
const MISTAKES: readonly (readonly [typed: string[], cause: RegExp, remedy: RegExp])[] = [
  // Names
  [["sweeep"], /Unknown command "sweeep"/, /Did you mean "sweep"\?/],
  [sweep("--legnths", "64"), /Unknown option --legnths/, /Did you mean --lengths\?/],
  [["train", "--lenght", "64"], /Unknown option --lenght/, /Did you mean --length\?/],
  [["sweep", "mqar-smal"], /Unknown sweep "mqar-smal"/, /Did you mean "mqar-small"\?/],
  [["sweep", "everything"], /Unknown sweep "everything"/, /\.\/run sweep --help lists all/],
  [["sweep", "a", "b"], /takes one name/, /current arguments are a b/],
  [sweep("--models", "tranformer-mixture"), /Unknown model/, /mean "transformer-mixture"\?/],
  [sweep("--models", "./nosuch"), /\.\/nosuch as there is no such file or folder/, /a model is/],
  [
    sweep("--models", "state-spaces/mamba2-130m"),
    /no such file or folder/,
    /on the hub it would be hf:state-spaces\/mamba2-130m/,
  ],
  [
    sweep("--models", "hf:owner/name", "--checkpoints", join(T, "nosuch")),
    /Cannot look for hf:owner\/name in .*nosuch as there is no such folder/,
    /--checkpoints names one/,
  ],
  [sweep("--models", join(T, "empty")), /holds no recipe\.json, no config\.json/, /a model is/],
  [sweep("--models", join(T, "notes.md")), /Cannot find a model in/, /ends in \.safetensors/],
  [sweep("--models", join(T, "unfinished")), /training has not come to an end/, /and --resume/],
  [sweep("--models", "gla-text,gla-text"), /gla-text is listed twice/, /another "name"/],
  [
    sweep("--models", "transformer-mixture+yran8"),
    /Unknown intervention "yran8"/,
    /Did you mean "yarn8"\?/,
  ],
  [
    sweep("--models", "transformer-mixture+yarn"),
    /Unknown intervention "yarn"/,
    /Did you mean "yarn<factor>"\?/,
  ],
  [sweep("--models", "mamba2-mixture+yarn2"), /Cannot change a mamba2/, /has no attention/],
  [sweep("--tasks", "mqra"), /Unknown task "mqra"/, /Did you mean "mqar"\?/],
  [gla("--tasks", "mqar"), /no chosen model can answer it/, /they know are text, .*niah_single_1/],
  [
    ["eval", "--model", LLAMA, "--lengths", "1k", "--out", join(T, "eval")],
    /Cannot ask .*llama: it has no tokenizer/,
    /with --tokenizer/,
  ],
  [
    sweep("--models", LLAMA, "--task", "niah_single_1", "--lengths", "64", "--dry-run"),
    /Cannot ask .*llama: it has no tokenizer/,
    /with --tokenizer/,
  ],
  [
    sweep("--models", `${LLAMA},transformer-mixture`, "--task", "vt", "--lengths", "64"),
    /Cannot ask vt as no chosen model can answer it: those they know are mqar,/,
    /llama: it has no tokenizer .* with --tokenizer/,
  ],
  [
    ["ruler", "--tokenizer", join(T, "none")],
    /Cannot load a tokenizer from .*none as there is no such file or folder/,
    /name the folder of a checkpoint/,
  ],
  [
    ["ruler", "--tokenizer", join(T, "notes.md")],
    /Cannot load a tokenizer from .*notes\.md as its folder holds no tokenizer\.json/,
    /no rwkv_vocab_\*\.txt/,
  ],
  [
    sweep("--models", LLAMA, "--task", "vt", "--lengths", "256", "--tokenizer", join(T, "none")),
    /Cannot load a tokenizer from .*none as there is no such file or folder/,
    /name the folder of a checkpoint/,
  ],
  [["train", "gla-mixtre"], /Unknown recipe "gla-mixtre"/, /Did you mean "gla-mixture"\?/],
  [["train"], /takes one recipe/, /\.\/run train --list/],
  [["ruler", "--tasks", "niah_singel_1"], /Unknown RULER task/, /Did you mean "niah_single_1"\?/],
  [["eval"], /eval takes --model/, /hf:owner\/name/],
  [["eval", "--model", "gla-text,gla-mixture"], /takes one model/, /\.\/run sweep --models/],
  [["eval", "--model", "hf:nosuch"], /Cannot download hf:nosuch/, /must be hf:owner\/name/],
  [
    ["eval", "--model", "hf:owner/nosuch"],
    /127\.0\.0\.1:\d+ cannot be reached/,
    /give a folder, or set HF_ENDPOINT/,
  ],
  // Lengths and other numbers
  [sweep("--lengths", "twice"), /twice is not a length/, /give tokens \(512, 4k, 1m\)/],
  [sweep("--lengths", "-5"), /-5 is not a length/, /give tokens/],
  [sweep("--lengths", "64,64"), /length 64/, /is listed twice/],
  [sweep("--lengths"), /--lengths takes LENGTH,…, and there is none/, /tokens \(512, 4k\)/],
  [
    sweep("--models", "gla-mixture", "--lengths", "8"),
    /Cannot ask mqar with 4 .* in 8 tokens/,
    /the smallest length that works is 17/,
  ],
  [gla("--lengths", "4m"), /as its text ends/, /the largest length that works is \d+/],
  [["ruler", "--lengths", "10"], /in 10 tokens/, /the smallest length that works is \d+/],
  [sweep("--depths", "1.5"), /current depth is 1\.5/, /must be from 0 to 1/],
  [sweep("--depths", "50%"), /current value is 50%/, /--depths takes numbers/],
  [["ruler", "--depth", "2"], /current depth is 2/, /from 0 \(the beginning\) to 1/],
  [sweep("--loads", "0"), /current value is 0/, /takes positive integers/],
  [
    sweep("--models", "gla-mixture", "--tasks", "mqar", "--loads", "1000"),
    /with 1000 key–value pairs/,
    /allows 1 to \d+/,
  ],
  [sweep("--seeds", "-1"), /current value is -1/, /must be an integer from 0/],
  [sweep("--samples", "many"), /current value is many/, /--samples takes numbers/],
  [sweep("--samples", "0"), /current value is 0/, /samples must be an integer from 1/],
  [["ruler", "--samples", "0"], /current value is 0/, /takes positive integers/],
  [sweep("--minutes", "0"), /current value is 0/, /takes numbers greater than 0/],
  [sweep("--dry-run", "--minutes", "soon"), /current value is soon/, /takes numbers/],
  [
    ["eval", "--model", "gla-text", "--dry-run", "--minutes", "0"],
    /current value is 0/,
    /takes numbers greater than 0/,
  ],
  // Options twice, and options that change nothing
  [
    sweep("--models", "gla-mixture", "--models", "gla-txt"),
    /Unknown model "gla-txt"/,
    /Did you mean "gla-text"\?/,
  ],
  [
    ["eval", "--model", "gla-text", "--model", "gla-mixture"],
    /takes one model/,
    /--models gla-text,gla-mixture/,
  ],
  [
    sweep("--models", "gla-mixture", "--tasks", "passkey", "--loads", "4"),
    /--loads changes nothing as none of the tasks \(passkey\) has a load/,
    /such as mqar, with --tasks/,
  ],
  [
    sweep("--models", "gla-mixture", "--tasks", "mqar", "--depths", "0.5", "--dry-run"),
    /--depths changes nothing as none of the tasks \(mqar\) has a depth/,
    /leave it out/,
  ],
  [
    ["eval", "--model", "gla-mixture", "--task", "passkey", "--text", "README.md"],
    /--text changes nothing as none of the tasks \(passkey\)/,
    /name text or .* with --tasks/,
  ],
  [
    sweep("--models", "gla-mixture", "--tokenizer", "tests"),
    /--tokenizer changes nothing as none of the models is a published checkpoint/,
    /leave it out, or name one with --models/,
  ],
  [sweep("--shards", "2"), /changes nothing without/, /--slurm or --kubernetes or --dry-run/],
  [sweep("--claim", "disk"), /changes nothing without --kubernetes/, /or leave --claim out/],
  [sweep("--shard", "8/8"), /Cannot run shard 8\/8/, /the first is 0\/8, the last 7\/8/],
  [sweep("--dry-run", "--shards", "0"), /current value is 0/, /takes positive integers/],
  [sweep("--slurm", "--shard", "0/2"), /--shard runs a shard here/, /of --shards N/],
  [
    sweep("--slurm", "--models", "gla-mixture", "--tasks", "passkey", "--loads", "4"),
    /--loads changes nothing as none of the tasks \(passkey\) has a load/,
    /such as mqar, with --tasks/,
  ],
  [
    sweep("--slurm", "--models", "gla-mixture", "--tokenizer", "tests"),
    /--tokenizer changes nothing/,
    /leave it out, or name one/,
  ],
  [sweep("--slurm", "--kubernetes", "image"), /one would change nothing/, /leave one of them out/],
  [sweep("--slurm", "--print"), /--print and --slurm cannot stand/, /leave one of them out/],
  [
    ["sweep", "--kubernetes", "image", "--dry-run"],
    /--kubernetes and --dry-run cannot stand/,
    /leave one of them out/,
  ],
  [sweep("--kubernetes", "image"), /--kubernetes and --out cannot/, /leave one of them out/],
  [["train", "gla-mixture", "--steps", "0"], /current value is 0/, /takes positive integers/],
  [
    ["train", "gla-mixture", "--learning-rate", "-1"],
    /current value is -1/,
    /--learning-rate takes/,
  ],
  [sweep("--memory", "8XB"), /current value is 8XB/, /such as 8GB or 512MB/],
  [sweep("--dtype", "f8"), /current value is f8/, /takes one of f32, f16/],
  [sweep("--dtype", "bf16"), /current value is bf16/, /did you mean "f16"\?/],
  // Files
  [["sweep", join(T, "none.json")], /Cannot read the sweep/, /No such file or directory$/],
  [["sweep", join(T, "bad.json")], /bad\.json as it is not valid JSON/, /line 1 column 2/],
  [["sweep", join(T, "odd.json")], /odd\.json: "lenghts"/, /is none of its fields/],
  [["sweep", join(T, "noted.json")], /not valid JSON/, /JSON has no comments, leave them out/],
  [["sweep", join(T, "grids.json")], /"grids"/, /did you mean "passkey"\?/],
  [["sweep", join(T, "list.json")], /list\.json: it must be an object/, /current value is a list/],
  [["sweep", join(T, "unnamed.json")], /"models" item 0: "name"/, /must be a name, which is not/],
  [["sweep", "./nosuch"], /Cannot read the sweep \.\/nosuch: No such file/, /\.\/run sweep --help/],
  [["sweep", "README.md"], /its name does not end in \.json/, /\.\/run sweep --help lists/],
  [["sweep", "tasks"], /Cannot sweep tasks as it is a folder/, /--models tasks asks/],
  [["sweep", "gla-text"], /Cannot sweep gla-text as it is a model/, /--models gla-text asks/],
  [["sweep", "hf:owner/name"], /as it is a model/, /--models hf:owner\/name asks/],
  [["train", "./nosuch.json"], /No such file or directory/, /\.\/run train --list/],
  [["train", join(T, "odd.json")], /odd\.json/, /it must give "model"/],
  [["eval", "--model", join(T, "cut")], /config\.json as it is not valid JSON/, /Unterminated/],
  [["eval", "--model", join(T, "hyena")], /HyenaForCausalLM/, /it must say one of/],
  [gla("--text", join(T, "none.txt")), /Cannot read the text file/, /No such file or directory$/],
  [gla("--text", join(T, "empty.txt")), /it is too short/, /the file has 0 bytes/],
  [gla("--tasks", "niah_single_1", "--set", join(T, "none")), /as a set of RULER/, /No such file/],
  [
    gla("--tasks", "niah_single_1", "--set", join(T, "empty")),
    /Cannot ask niah_single_1 from/,
    /holds no <length>\/data\/niah_single_1\/validation\.jsonl/,
  ],
  [gla("--tasks", "qa_1"), /Cannot ask qa_1 without SQuAD 2\.0/, /name its file with --squad/],
  [gla("--tasks", "qa_1", "--squad", join(T, "bad.json")), /as SQuAD 2\.0/, /https:\/\/rajpurkar/],
  [gla("--tasks", "niah_single_2", "--haystack", join(T, "none")), /the haystack/, /No such file/],
  [
    gla("--tasks", "niah_single_1", "--template", "chat"),
    /Cannot ask gla-text in the template chat/,
    /it has base/,
  ],
  [
    gla("--tasks", "text", "--template", "chat"),
    /none of the tasks is in words/,
    /leave the template out/,
  ],
  [
    gla("--tasks", "niah_single_1", "--template", join(T, "bad.jinja")),
    /Cannot read a chat template/,
    /bad\.jinja/,
  ],
  [["report"], /report takes folders/, /such as results\/default/],
  [["report", join(T, "none")], /sweep\.csv: No such file or directory/, /name the folder/],
  [["report", join(T, "uneven")], /line 2 has 3 fields, the first 2/, /--resume writes it again/],
  [["report", join(T, "plain"), join(T, "plain")], /Cannot compare runs/, /is listed twice/],
  [
    ["report", join(T, "plain"), "--predictions"],
    /holds no replies to RULER's tasks/,
    /sweep with --log-samples/,
  ],
  [["report", join(T, "notes.md")], /notes\.md as it is a file/, /name the folder of a sweep/],
  [["merge", join(T, "notes.md")], /notes\.md as it is a file/, /name the folder of a sweep/],
  [["merge"], /merge takes a sweep's folder/, /such as results\/default/],
  [["merge", join(T, "empty")], /there is no journal in/, /name the folder of a sweep/],
  [sweep("--resume"), /holds no journal\.jsonl/, /name its folder with --out/],
  // Permissions and places
  [
    ["sweep", "--models", "gla-text", "--out", join(T, "file")],
    /Cannot write results into .*: (File exists|Not a directory)/,
    /name another folder with --out/,
  ],
  [
    ["train", "gla-mixture", "--out", join(T, "file", "x")],
    /Cannot train into .*: Not a directory/,
    /name another folder with --out/,
  ],
  [
    ["train", "gla-mixture", "--steps", "1", "--out", join(T, "mine")],
    /its log\.csv is of no training, and would be lost/,
    /name another folder with --out/,
  ],
  [
    ["ruler", "--tasks", "vt", "--out", join(T, "file", "x")],
    /Cannot write .*: Not a directory/,
    /name another folder with --out/,
  ],
];

Deno.test("common mistakes each give one line that says what is wrong, and what to do", async () => {
  const home = Deno.cwd();
  Deno.chdir(ROOT);
  const hub = { HF_ENDPOINT: "http://127.0.0.1:1", HF_HOME: join(T, "hub") };
  const before = Object.keys(hub).map((name) => [name, Deno.env.get(name)] as const);
  for (const [name, value] of Object.entries(hub)) Deno.env.set(name, value);
  try {
    assert(MISTAKES.length >= 49, `${MISTAKES.length} mistakes`);
    const wrong: string[] = [];
    for (const [typed, cause, remedy] of MISTAKES) {
      const { code, out, errors } = await run(typed);
      const line = errors.join("\n");
      const isGood = code === 1 && out.length === 0 && !line.includes("\n") && line.length < 2500 &&
        cause.test(line) && remedy.test(line) &&
        !/os error|NotCapable|undefined|\bat .*:\d+:\d+/.test(line);
      if (!isGood) wrong.push(`${typed.join(" ")}\n  ${code}: ${line.slice(0, 400)} ${out}`);
    }
    assertEquals(wrong.join("\n").replaceAll(T, "T"), "");
  } finally {
    Deno.chdir(home);
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
  }
});

Deno.test("a model that is asked nothing is named, with the reason", async () => {
  const args = ["--tasks", "passkey", "--lengths", "64", "--samples", "1", "--seeds", "0"];
  const models = `transformer-text,transformer-mixture,${join(ROOT, LLAMA)}`;
  const { code, out, errors } = await run(sweep("--models", models, ...args, "--dry-run"));
  assertEquals(code, 0, errors.join("\n"));
  assertMatch(out.join("\n"), /\n1 cell/);
  const [text, llama, ...rest] = errors;
  assertEquals(rest, []);
  assertMatch(text, /^without transformer-text: it can be asked none of the tasks: it knows text,/);
  assertMatch(llama, /^without .*llama: it has no tokenizer .* with --tokenizer$/);
});

Deno.test("a file that is not a training's is not written over but with --overwrite", async () => {
  const text = await Deno.readTextFile(join(T, "mine", "log.csv"));
  assertEquals(text, FILES["mine/log.csv"]);
  const args = ["train", "gla-mixture", "--steps", "1", "--overwrite", "--out", join(T, "mine")];
  const { code, errors } = await run(args);
  assertEquals(code, 0, errors.join("\n"));
  assertMatch(await Deno.readTextFile(join(T, "mine", "log.csv")), /^step,loss,/);
});

Deno.test("every option that takes a value says what holds without it", () => {
  for (const { specification: { name, options } } of COMMANDS) {
    for (const [option, { takes, default: otherwise }] of Object.entries(options)) {
      assertEquals(takes !== undefined, otherwise !== undefined, `${name} --${option}`);
    }
  }
});

Deno.test("what even --allow-write does not open to a program is named in plain words", async () => {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", "--allow-read", "--allow-write", "tasks/main.ts"],
      ...["sweep", "--models", "gla-text", "--lengths", "1k", "--out", "/proc/lengthwise"],
    ],
    cwd: ROOT,
    stderr: "piped",
  }).output();
  assertEquals(code, 1);
  assertMatch(
    new TextDecoder().decode(stderr),
    /^error: Cannot write results into \/proc\/lengthwise: [^-]*; name another folder with --out\n$/,
  );
});

Deno.test("a report is made without the files whose renderer may not be read, and says so", async () => {
  const folder = join(T, "plain");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", `--allow-read=${ROOT},${folder}`],
      ...[`--allow-write=${folder}`, join(ROOT, "tasks/main.ts"), "report", folder],
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const [out, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals(code, 0, errors);
  assertMatch(errors, /^no PNG files: Requires read access to ".*\.wasm".*--allow-read/);
  assertMatch(out, /report\.html, with \d+ pictures/);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  assert(
    names.some((name) => name.endsWith(".svg")) && names.some((name) => name.endsWith(".pdf")),
  );
  const page = await Deno.readTextFile(join(folder, "report.html"));
  assert(page.includes('.svg"') && !page.includes('.png"'), "what is not there is not linked");
});
