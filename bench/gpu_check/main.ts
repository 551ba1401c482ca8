/**
 * Checks an adapter in some minutes, from this repository and a Deno binary alone: `./run gpu-check`, or where
 * there is no `sh`, `deno task --config bench/gpu_check/task.json gpu-check`; with `--minutes N` (8 by
 * default), `--out FOLDER` (`results/gpu-check`), `--only PART,…` and `--dawn`, which takes SwiftShader
 * through Dawn for a GPU. Leaves `gpu-check.json` and `gpu-check.md` in the folder.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { join } from "@std/path";
import { adapterIdentity, Gpu, openGpu, type Tuning } from "../../kernels/mod.ts";
import { driverHere } from "../../tasks/tuning/driver.ts";
import { chosenOf, type TunedAdapter } from "../../tasks/tuning/file.ts";
import { defaultProblems, isFast, tune } from "../../tasks/tuning/tune.ts";
import { type Ceilings, measureCeilings } from "../ceilings.ts";
import { checkKernels } from "./kernels.ts";
import { checkModels, checkSweep, checkTraining } from "./models.ts";
import { Budget, figure, markdown, type Part, part } from "./result.ts";
import { checkFamilies } from "./tests.ts";

/** The parts after the adapter's own, with their shares of the time that is left when they begin. */
const SHARES = { tests: 0.3, tune: 0.25, kernels: 0.45, models: 0.55, training: 0.4, sweep: 0.9 };
type Name = keyof typeof SHARES;

const given = parseArgs(Deno.args, {
  string: ["minutes", "out", "only"],
  boolean: ["dawn", "help"],
  default: { minutes: "8", out: join("results", "gpu-check") },
  unknown: (arg) => fail(`Unknown option ${arg}: there are --minutes, --out, --only and --dawn`),
});
if (given.help) {
  console.log(
    `Check an adapter: its limits, the kernels' tests, their speed beside its ceilings, models, a sweep.

usage: ./run gpu-check [--minutes N] [--out FOLDER] [--only PART,…] [--dawn]
       deno task --config bench/gpu_check/task.json gpu-check [same options]

Both need no network; deno task gpu-check does, as deno task fetches the packages of deno.json first.

--minutes N     how long it may take (default: 8)
--out FOLDER    where gpu-check.json and gpu-check.md go (default: results/gpu-check)
--only PART,…   these parts alone: ${Object.keys(SHARES).join(", ")}
--dawn          SwiftShader through Dawn, taken for a GPU; needs the packages of deno.json`,
  );
  Deno.exit();
}
const minutes = Number(given.minutes);
if (!(minutes > 0)) {
  fail(`--minutes takes numbers greater than 0: current value is ${given.minutes}`);
}
const only = given.only?.split(",") ?? Object.keys(SHARES);
const wrong = only.find((name) => !Object.hasOwn(SHARES, name));
if (wrong !== undefined) {
  fail(`--only takes ${Object.keys(SHARES).join(", ")}: current value is ${wrong}`);
}

const start = performance.now();
const budget = new Budget(minutes * 60_000);
let gpu = await open();
const parts: Part[] = [];
const { name } = gpu.adapter;
const ceilings = await checkAdapter(gpu);
let tuned: TunedAdapter | undefined;
await run("tests", (own) => checkFamilies(own, given.dawn));
await run("tune", checkTuning);
await run("kernels", (own) => checkKernels(gpu, ceilings, own));
await run("models", (own) => checkModels(gpu, ceilings, own));
await run("training", (own) => checkTraining(gpu, ceilings, own));
await run("sweep", (own) => checkSweep(gpu, own));
await save();
console.error(`${given.out}/gpu-check.md, ${seconds()} s`);
Deno.exit(0); // Dawn holds a timer

function fail(message: string): never {
  console.error(`error: ${message}`);
  Deno.exit(1);
}

function seconds(): string {
  return ((performance.now() - start) / 1000).toFixed(0);
}

/** The adapter, with a tuning. */
async function open(tuning: Tuning = {}): Promise<Gpu> {
  if (!given.dawn) return await openGpu({ tuning });
  const { openDawn } = await import("../../tests/dawn.ts");
  const { device, adapter } = await openDawn();
  return new Gpu(device, adapter, { poison: false, owns: false, tuning });
}

/** A part that fails does not end the others. */
async function run(name: Name, check: (budget: Budget) => Promise<Part>): Promise<void> {
  if (!only.includes(name)) return;
  console.error(`${seconds()} s: ${name}`);
  let found: Part;
  try {
    found = await check(budget.share(SHARES[name]));
  } catch (error) {
    found = part(name);
    found.notes.push(`It failed: ${(error as Error).message}`);
  }
  parts.push(found);
  await save();
}

async function checkAdapter(gpu: Gpu): Promise<Ceilings> {
  const found = part("Adapter");
  const { features, limits } = gpu.device;
  const ceilings = await measureCeilings(gpu);
  const lines: Record<string, string | number> = {
    adapter: gpu.adapter.name,
    "taken for": gpu.adapter.software ? "a software adapter" : "a GPU",
    drivers: driverHere(),
    Deno: Deno.version.deno,
    features: [...features].sort().join(", "),
    "FMA rate, GFLOP/s": figure(ceilings.flopsPerSecond / 1e9),
    "copy rate, GB/s": figure(ceilings.bytesPerSecond / 1e9),
  };
  for (
    const limit of [
      "maxBufferSize",
      "maxStorageBufferBindingSize",
      "maxComputeWorkgroupStorageSize",
      "maxComputeInvocationsPerWorkgroup",
      "maxStorageBuffersPerShaderStage",
    ] as const
  ) lines[limit] = limits[limit];
  for (const [what, value] of Object.entries(lines)) found.lines.push({ what, value });
  parts.push(found);
  return ceilings;
}

/** Tunes on the default set, and opens the adapter with what was found. */
async function checkTuning(budget: Budget): Promise<Part> {
  const found = part("Tuning");
  const deadline = performance.now() + budget.left;
  const notes = await defaultProblems(
    gpu,
    await isFast(gpu),
    performance.now() + budget.left / 2,
  );
  const { entry, left } = await tune(gpu, notes, { models: [], deadline });
  tuned = entry;
  for (const { tunable, class: of, candidate, standard, problems } of entry.classes) {
    if (candidate === standard) continue;
    const total = (name: string): number =>
      problems.reduce((sum, { milliseconds }) => sum + milliseconds[name], 0);
    const gain = figure(total(standard) / total(candidate));
    found.lines.push({
      tunable,
      problems: of,
      fastest: candidate,
      default: standard,
      "times as fast": gain,
    });
  }
  const refused = entry.classes.flatMap(({ refused }) => Object.entries(refused));
  found.notes.push(
    `${entry.classes.length} classes of problems were measured, ${left} were not for lack of time; of ${found.lines.length} something is faster than the default. What follows is with that.`,
    ...refused.map(([name, reason]) => `Left out ${name}: ${reason}`),
  );
  gpu = await open(chosenOf(entry, gpu.adapter).tuning);
  return found;
}

async function save(): Promise<void> {
  await Deno.mkdir(given.out, { recursive: true });
  const title = `${name}, ${new Date().toISOString().slice(0, 10)}, ${seconds()} s`;
  const json = { adapter: name, identity: adapterIdentity(gpu.device), ceilings, parts, tuned };
  await Deno.writeTextFile(join(given.out, "gpu-check.json"), `${JSON.stringify(json, null, 1)}\n`);
  await Deno.writeTextFile(join(given.out, "gpu-check.md"), markdown(title, parts));
}
