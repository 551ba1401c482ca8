/**
 * The kernels' tests, family by family, on the adapter at hand.
 *
 * @module
 */
import { fromFileUrl, join } from "@std/path";
import { type Budget, figure, type Part, part } from "./result.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** Tests of all families first: they are few, and say most. */
const FIRST = ["accuracy_test.ts", "subgroups_test.ts", "golden_test.ts"];

/** Names that do not end in `(Dawn)`, as Rust's regular expressions can say it. */
const NOT_ON_DAWN = "/([^)]|[^n]\\)|[^w]n\\))$/";

/**
 * Runs the tests of each family, as far as the time goes.
 *
 * @param onDawn Whether on Dawn, and not on Deno's WebGPU.
 */
export async function checkFamilies(budget: Budget, onDawn: boolean): Promise<Part> {
  const found = part("Kernel tests");
  const families: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, "tests/kernels"))) {
    if (isDirectory && name !== "gpu") families.push(name);
  }
  // Accuracy is compared on Deno's WebGPU alone.
  const first = FIRST.filter((name) => !onDawn || !name.startsWith("accuracy"));
  const all = [...first, ...families.sort()];
  for (const [i, name] of all.entries()) {
    if (budget.left < 1000) {
      found.notes.push(`Not run for lack of time: ${all.slice(i).join(", ")}.`);
      break;
    }
    // A family that is slow to compile leaves the others their part.
    const own = budget.share(Math.min(1, 2 / (all.length - i)));
    const start = performance.now();
    const { passed, failed, names, isOver } = await run(`tests/kernels/${name}`, own, onDawn);
    const seconds = (performance.now() - start) / 1000;
    found.lines.push({ tests: name, passed, failed, seconds: figure(seconds) });
    if (isOver) found.notes.push(`${name}: stopped after its share of the time.`);
    if (passed + failed === 0 && !isOver) found.notes.push(`${name}: no test ran.`);
    for (const each of names) found.notes.push(`${name}, failed: ${each}`);
  }
  return found;
}

async function run(
  path: string,
  budget: Budget,
  onDawn: boolean,
): Promise<{ passed: number; failed: number; names: string[]; isOver: boolean }> {
  const offline = [
    "--no-lock",
    "--no-config",
    "--import-map",
    join(ROOT, "bench/gpu_check/offline.json"),
  ];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--no-check",
      "--quiet",
      ...(onDawn ? [] : offline),
      "--filter",
      onDawn ? "/\\(Dawn\\)$/" : NOT_ON_DAWN,
      path,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = true;
    child.kill();
  }, budget.left);
  const text = new TextDecoder().decode((await child.output()).stdout);
  clearTimeout(timer);
  const results = [...text.matchAll(/^(.+) \.\.\. (?:[^]*?)(ok|FAILED) \(/gm)];
  const names = results.filter(([, , how]) => how === "FAILED").map(([, name]) => name);
  const passed = results.length - names.length;
  return { passed, failed: names.length, names, isOver };
}
