/**
 * Runs all tests and the examples of the documentation, in as many processes as there are processors,
 * up to four: compiling a shader takes one of them, and so does waiting for a sweep. One process prints as it
 * runs, the others when it is their turn; the errors of all of them are printed once more at the end.
 *
 *   deno run -A tests/all.ts                    # all tests of this repository
 *   deno run -A tests/all.ts PATH [OPTION...]   # what `deno test -A --doc` makes of these arguments
 */
import { fromFileUrl, join } from "@std/path";

/** What came of one process, or of all of them. */
export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly ignored: number;
  /** What was printed about each process that failed, with its command. */
  readonly errors: readonly string[];
}

/** Where most of the time goes comes first, so that no process is left alone with it at the end. */
const FIRST = ["tests/kernels/", "tests/tasks/", "tests/models/"];
/** Each takes up to two gigabytes, and has as many threads as there are processors. */
const MOST_PROCESSES = 4;
/** The line that `deno test` ends with: "ok | 6 passed (2 steps) | 0 failed | 1 ignored (122ms)". */
const CLOSING = /^(?:ok|FAILED) \| (\d+) passed.* \| (\d+) failed(?:.* \| (\d+) ignored)?/gm;
/** The last characters of a process that died, in which it may say why. */
const LAST_WORDS = 4000;

/** The files of tests in a folder, as paths from `root` with slashes. */
async function testFiles(root: string, folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(root, folder))) {
    const path = `${folder}/${name}`;
    if (isDirectory) files.push(...await testFiles(root, path));
    else if (name.endsWith("_test.ts")) files.push(path);
  }
  return files;
}

/** Prints the first of several texts as it grows, and the next once that has ended. */
class Turns {
  readonly #texts: { waiting: string; ended: boolean }[] = [];
  readonly #print: (text: string) => void;

  constructor(print: (text: string) => void) {
    this.#print = print;
  }

  /** Another text behind the others: what adds to it, and what ends it. */
  next(): { add: (part: string) => void; end: () => void } {
    const text = { waiting: "", ended: false };
    this.#texts.push(text);
    return {
      add: (part) => {
        text.waiting += part;
        this.#advance();
      },
      end: () => {
        text.ended = true;
        this.#advance();
      },
    };
  }

  #advance(): void {
    for (let text = this.#texts.at(0); text !== undefined; text = this.#texts.at(0)) {
      if (text.waiting !== "") this.#print(text.waiting);
      text.waiting = "";
      if (!text.ended) return;
      this.#texts.shift();
    }
  }
}

/** Runs `deno` with these arguments, and reads from what it prints what came of it. */
async function runDeno(args: readonly string[], root: string, turns: Turns): Promise<Outcome> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env: Deno.stdout.isTerminal() && !Deno.noColor ? { FORCE_COLOR: "1" } : {},
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const turn = turns.next();
  let printed = "";
  const pass = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      printed += part;
      turn.add(part);
    }
  };
  const [{ success, code, signal }] = await Promise.all([
    process.status,
    pass(process.stdout),
    pass(process.stderr),
  ]);
  turn.end();
  const plain = printed.replace(new RegExp("\x1b\\[[\\d;]*m", "g"), "");
  const closing = plain.matchAll(CLOSING).toArray().at(-1) ?? [];
  const [passed = 0, failed = 0, ignored = 0] = closing.slice(1).map((count) => Number(count ?? 0));
  if (success) return { passed, failed, ignored, errors: [] };
  const at = plain.indexOf("\n ERRORS ");
  const words = at < 0 ? plain.slice(-LAST_WORDS) : plain.slice(at);
  return {
    passed,
    failed: Math.max(1, failed),
    ignored,
    errors: [`deno ${args.join(" ")}\nended with ${signal ?? `exit code ${code}`}\n${words}`],
  };
}

/**
 * Runs all tests in a folder's `tests`, and the examples of its documentation.
 *
 * @param print Called with what the processes print.
 */
export async function runAll(
  root: string,
  processes: number,
  print: (text: string) => void,
): Promise<Outcome> {
  const files = await testFiles(root, "tests");
  const rankOf = (file: string): number => FIRST.findIndex((start) => file.startsWith(start));
  const left = [
    ...FIRST.flatMap((_, rank) => files.filter((file) => rankOf(file) === rank).sort()),
    ...files.filter((file) => rankOf(file) < 0).sort(),
  ];
  const turns = new Turns(print);
  const outcomes: Outcome[] = [];
  const work = async (next: () => string[] | undefined): Promise<void> => {
    for (let args = next(); args !== undefined; args = next()) {
      outcomes.push(await runDeno(args, root, turns));
    }
  };
  const others = [["check", "."], ["test", "-A", "--doc", `--ignore=${files.join()}`]];
  // Each takes a share of what is left: few begin anew, and all end at about the same time.
  const next = (): string[] | undefined => {
    const share = left.splice(0, Math.ceil(left.length / (2 * processes)));
    return share.length === 0 ? others.pop() : ["test", "-A", "--no-check", ...share];
  };
  await Promise.all(Array.from({ length: processes }, () => work(next)));
  const sum = (count: "passed" | "failed" | "ignored"): number =>
    outcomes.reduce((total, outcome) => total + outcome[count], 0);
  return {
    passed: sum("passed"),
    failed: sum("failed"),
    ignored: sum("ignored"),
    errors: outcomes.flatMap(({ errors }) => errors),
  };
}

if (import.meta.main) {
  if (Deno.args.length > 0) {
    const args = ["test", "-A", "--doc", ...Deno.args];
    Deno.exit((await new Deno.Command(Deno.execPath(), { args }).spawn().status).code);
  }
  const started = performance.now();
  const root = fromFileUrl(new URL("../", import.meta.url));
  const print = (text: string): void => {
    let bytes = new TextEncoder().encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
  };
  const processes = Math.min(MOST_PROCESSES, navigator.hardwareConcurrency);
  const { passed, failed, ignored, errors } = await runAll(root, processes, print);
  if (errors.length > 0) console.log(`\nwhat failed:\n\n${errors.join("\n\n")}`);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(
    `\n${failed > 0 ? "FAILED" : "ok"} | ${passed} passed | ${failed} failed${
      ignored > 0 ? ` | ${ignored} ignored` : ""
    } (${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, "0")}s)`,
  );
  Deno.exit(failed > 0 ? 1 : 0);
}
