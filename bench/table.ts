/**
 * Measures all that the tables of `bench/README.md` hold and writes them there:
 * `deno run -A bench/table.ts`, with `peers`, `native`, `torch` or `growth` behind it for one of them alone, and
 * `--python PATH` for the Python that has PyTorch; with `host FOLDER` for what the host pays, beside the
 * checkout of an earlier commit in the folder. On a software adapter it takes some minutes.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { openDawn } from "../tests/dawn.ts";
import { readTuning } from "../tasks/tuning/file.ts";
import { ARCHITECTURES } from "../models/mod.ts";
import { commitHere } from "../tasks/commit.ts";
import { copyCeiling, fmaCeiling } from "./ceilings.ts";
import { comparisons, contenders, openPeers, type Peers } from "./comparisons.ts";
import { type Growth, measureGrowth } from "./growth.ts";
import { hostTables, openCheckouts } from "./host.ts";
import { type Clock, compare, fittedExponent, measure } from "./measure.ts";
import { onnxRuntimeNative } from "./peers/onnx_runtime_native.ts";
import type { Peer } from "./peers/peer.ts";
import { openTorch } from "./peers/torch.ts";

const README = new URL("./README.md", import.meta.url);
const HISTORY = new URL("./history.csv", import.meta.url);
const PARTS = { peers: writePeers, native: writeNative, torch: writeTorch, growth: writeGrowth };
type Part = keyof typeof PARTS | "host";

const { python = "python3", _: [chosen, folder] } = parseArgs(Deno.args, {
  string: ["python", "_"],
});
if (chosen === "host") await writeHost();
else {
  const names = Object.keys(PARTS) as (keyof typeof PARTS)[];
  if (chosen !== undefined && !names.includes(chosen as keyof typeof PARTS)) {
    throw new Error(
      `Cannot measure "${chosen}": take one of ${
        names.join(", ")
      }, or none for all of these, or host`,
    );
  }
  const gpu = await openGpu({ tuning: readTuning });
  for (const name of names) {
    if (chosen === undefined || chosen === name) await PARTS[name](gpu);
  }
}
Deno.exit(0); // a library may still hold a worker

/** What the host pays, here and in the checkout of an earlier commit. */
async function writeHost(): Promise<void> {
  if (folder === undefined) {
    throw new Error("Cannot measure the host without a checkout of an earlier commit: host FOLDER");
  }
  const codes = await openCheckouts(`${folder}`);
  const tables: string[] = [];
  for (const { header, rows } of hostTables(codes, Object.keys(ARCHITECTURES))) {
    const cells: (readonly string[])[] = [];
    for await (const row of rows) {
      cells.push(row);
      console.error(row.join(" | "));
    }
    tables.push(table(header, cells));
  }
  await write("host", [conditions(codes[codes.length - 1].gpu, "elapsed"), ...tables]);
}

async function writePeers(gpu: Gpu): Promise<void> {
  const opened = await openPeers(gpu);
  const peerNames = opened.peers.map(({ name }) => name);
  const { rows, refusals } = await comparedRows(gpu, opened);
  const header = [
    "",
    "ours, ms",
    "of FMA rate",
    "of copy rate",
    "ours, plain, ms",
    ...peerNames.map((name) => `${name}, ms`),
    "best of them ÷ ours",
    "expected",
  ];
  await write("peers", [
    conditions(gpu),
    table(header, rows),
    refusals.length === 0
      ? "Every library ran here what it was asked to, and gave our output."
      : `Refused:\n\n${refusals.map((refusal) => `- ${refusal}`).join("\n")}`,
  ]);
}

/** Ours with a GPU's variants, beside native code, on SwiftShader through Dawn. */
async function writeNative(): Promise<void> {
  const { device, adapter } = await openDawn();
  const gpu = new Gpu(device, adapter, { poison: false, owns: false });
  const native = await onnxRuntimeNative(gpu);
  const { rows, refusals } = await nativeRows(gpu, native);
  await write("native", [
    conditions(gpu, "processor"),
    table(["", "ours, ms", `${native.name}, ms`, "it ÷ ours", "expected"], rows),
    ...refusals,
  ]);
}

async function nativeRows(
  gpu: Gpu,
  native: Peer,
): Promise<{ rows: string[][]; refusals: string[] }> {
  const rows: string[][] = [];
  const refusals: string[] = [];
  for (const comparison of comparisons(gpu).filter(({ long }) => !long)) {
    const opened = { peers: [native], refusals: [] };
    const { checked, refusals: refused } = await contenders(gpu, opened, comparison);
    refusals.push(...refused);
    const pair = checked.filter(({ kind }) => kind !== "ours, plain");
    const [ours, theirs] = await compare(gpu, pair, {
      rounds: 3,
      sampleMilliseconds: 100,
      clock: "processor", // SwiftShader's, whatever it is taken for
    });
    const ratio = theirs === undefined ? "" : `${(theirs / ours).toFixed(1)}×`;
    if (theirs !== undefined) {
      await remember(gpu, comparison.title, [ours, theirs], native.name, "processor");
    }
    rows.push([comparison.title, milliseconds(ours), milliseconds(theirs), ratio, "2.5×"]);
    console.error(rows[rows.length - 1].join(" | "));
  }
  return { rows, refusals };
}

/** Ours beside PyTorch on the CPU, in turns, both in time of the processor: there other work counts for nothing. */
async function writeTorch(gpu: Gpu): Promise<void> {
  if (!gpu.adapter.software) {
    return console.error("PyTorch on the CPU is left out: it is compared with software adapters");
  }
  await using torch = await openTorch(python);
  const rows: string[][] = [];
  for (const { title, ours: operation, inputs } of comparisons(gpu)) {
    const run = (): void => {
      for (const tensor of Object.values(operation(gpu, inputs))) tensor[Symbol.dispose]();
    };
    let [ours, theirs] = [Infinity, Infinity];
    for (let round = 0; round < 3; round++) {
      const options = { clock: "processor", samples: 1, warmUp: round === 0 } as const;
      ours = Math.min(ours, await measure(gpu, run, options));
      theirs = Math.min(theirs, await torch.milliseconds(title));
    }
    const ratio = `${(theirs / ours).toFixed(theirs < ours ? 2 : 1)}×`;
    rows.push([title, milliseconds(ours), milliseconds(theirs), ratio]);
    await remember(gpu, title, [ours, theirs], torch.name, "processor");
    console.error(rows[rows.length - 1].join(" | "));
  }
  await write("torch", [
    conditions(gpu),
    table(["", "ours, ms", `${torch.name}, ms`, "it ÷ ours"], rows),
  ]);
}

async function writeGrowth(gpu: Gpu): Promise<void> {
  const header = ["", "ms at", "", "", "", "time", "MB at", "", "memory"];
  await write("growth", [conditions(gpu), table(header, await grownRows(gpu))]);
}

/** A software adapter's own work is the processor's, which other work on the machine does not change. */
function clockOf({ adapter }: Gpu): Clock {
  return adapter.software ? "processor" : "elapsed";
}

/** Where and when, what of, and how busy the machine was with other things. */
function conditions(gpu: Gpu, clock: Clock = clockOf(gpu)): string {
  const load = Deno.loadavg()[1].toFixed(1);
  const what = clock === "processor"
    ? "Milliseconds are the processor's, of all threads together. "
    : "";
  return `${what}Measured on ${gpu.adapter.name}, ${navigator.hardwareConcurrency} cores, Deno ${Deno.version.deno}; load of the machine over the last 5 minutes: ${load}.`;
}

/** Adds a ratio to those of earlier commits. */
async function remember(
  gpu: Gpu,
  title: string,
  [ours, theirs]: readonly [number, number],
  peer: string,
  clock: Clock,
): Promise<void> {
  const cells = [
    await commitHere() ?? "",
    new Date().toISOString().slice(0, 10),
    gpu.adapter.name,
    title,
    milliseconds(ours),
    peer,
    milliseconds(theirs),
    (theirs / ours).toFixed(2),
    clock,
  ];
  const line = cells.map((cell) => /[",]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  await Deno.writeTextFile(HISTORY, `${line.join(",")}\n`, { append: true });
}

/** One row a comparison, in which the ceilings take their turns. */
async function comparedRows(
  gpu: Gpu,
  opened: Peers,
): Promise<{ rows: string[][]; refusals: string[] }> {
  const rows: string[][] = [];
  const refusals = [...opened.refusals];
  const peerNames = opened.peers.map(({ name }) => name);
  const fma = fmaCeiling(gpu, gpu.adapter.software ? 2 ** 28 : 2 ** 35);
  const copy = copyCeiling(gpu);
  for (const comparison of comparisons(gpu)) {
    const { title, flops, bytes, long, goal } = comparison;
    const { checked, refusals: refused } = await contenders(gpu, opened, comparison);
    refusals.push(...refused);
    const times = await compare(gpu, [...checked, fma, copy], {
      rounds: long ? 2 : 5,
      sampleMilliseconds: 100,
      clock: clockOf(gpu),
    });
    const [fmaTime, copyTime] = times.slice(-2);
    const timeOf = (name: string): number | undefined =>
      times[checked.findIndex((contender) => contender.name === name)];
    const ours = times[0];
    const fastest = Math.min(...peerNames.map((name) => timeOf(name) ?? Infinity));
    rows.push([
      title,
      milliseconds(ours),
      percent(flops / ours / (fma.flops / fmaTime)),
      percent(bytes / ours / (copy.bytes / copyTime)),
      milliseconds(timeOf("ours, plain")),
      ...peerNames.map((name) => milliseconds(timeOf(name))),
      Number.isFinite(fastest) ? `${(fastest / ours).toFixed(1)}×` : "no other",
      `${goal}×`,
    ]);
    const best = peerNames.find((name) => timeOf(name) === fastest);
    if (best !== undefined) {
      await remember(gpu, title, [ours, fastest], best, clockOf(gpu));
    }
    console.error(rows[rows.length - 1].join(" | "));
  }
  return { rows, refusals };
}

/** One row per kernel, at four lengths each. */
async function grownRows(gpu: Gpu): Promise<string[][]> {
  const rows: string[][] = [];
  for await (const growth of measureGrowth(gpu, clockOf(gpu))) {
    rows.push(grownRow(growth));
    console.error(rows[rows.length - 1].join(" | "));
  }
  return rows;
}

function grownRow({ name, lengths, milliseconds: times, peakBytes }: Growth): string[] {
  const megabytes = peakBytes.map((bytes) => (bytes / 1e6).toFixed(1));
  const at = (index: number): string => `${lengths[index] / 1024}K`;
  const last = lengths.length - 1;
  return [
    name,
    ...times.map((time, index) => `${at(index)}: ${milliseconds(time)}`),
    `T^${fittedExponent(lengths, times).toFixed(2)}`,
    `${at(0)}: ${megabytes[0]}`,
    `${at(last)}: ${megabytes[last]}`,
    `T^${fittedExponent(lengths, peakBytes).toFixed(2)}`,
  ];
}

function milliseconds(time: number | undefined): string {
  if (time === undefined) return "";
  return time >= 100 ? time.toFixed(0) : time.toFixed(time >= 10 ? 1 : 2);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
}

/** The first column is words, the others are figures. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = header.map((_, index) => index === 0 ? ":--" : "--:");
  return [header, line, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** Replaces what stands between a part's two marks. */
async function write(part: Part, paragraphs: readonly string[]): Promise<void> {
  const [begin, end] = ["begin", "end"].map((mark) =>
    `<!-- ${mark}: ${part}, by bench/table.ts -->`
  );
  const text = await Deno.readTextFile(README);
  const [before, after] = [text.split(begin)[0], text.split(end)[1]];
  if (after === undefined || before.length === text.length) {
    throw new Error(`Cannot write the table as bench/README.md lacks ${begin} or ${end}`);
  }
  await Deno.writeTextFile(README, [before + begin, ...paragraphs, end + after].join("\n\n"));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", README.pathname] }).output();
}
