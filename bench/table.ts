/**
 * Measures all that the tables of `bench/README.md` hold and writes them there:
 * `deno run -A bench/table.ts`. On a software adapter it takes some minutes.
 *
 * @module
 */
import { type Gpu, openGpu } from "../kernels/gpu/mod.ts";
import { copyCeiling, fmaCeiling } from "./ceilings.ts";
import { comparisons, contenders, openPeers } from "./comparisons.ts";
import { type Growth, measureGrowth } from "./growth.ts";
import { compare, fittedExponent } from "./measure.ts";

const README = new URL("./README.md", import.meta.url);
const BEGIN = "<!-- begin: written by bench/table.ts -->";
const END = "<!-- end: written by bench/table.ts -->";

const gpu = await openGpu();
const opened = await openPeers(gpu);
const peerNames = opened.peers.map(({ name }) => name);
const refusals = [...opened.refusals];

const compared = await comparedRows(gpu);
const grown = await grownRows(gpu);
await writeTables([
  `Adapter: ${gpu.adapter.name}, ${navigator.hardwareConcurrency} cores. Deno ${Deno.version.deno}.` +
  ` Load of the machine meanwhile: ${Deno.loadavg()[2].toFixed(1)}.`,
  "### Beside other libraries",
  table([
    "",
    "ours, ms",
    "of FMA rate",
    "of copy rate",
    "ours, plain, ms",
    ...peerNames.map((name) => `${name}, ms`),
    "best of them ÷ ours",
    "expected",
  ], compared),
  "### In other lengths",
  table(["", "ms at", "", "", "", "time", "MB at", "", "memory"], grown),
  "### Refused",
  refusals.length === 0
    ? "Every library ran what it was asked to, and gave our output."
    : refusals.map((refusal) => `- ${refusal}`).join("\n"),
]);
Deno.exit(0); // a library may still hold a worker

/** One row a comparison, in which the ceilings take their turns. */
async function comparedRows(gpu: Gpu): Promise<string[][]> {
  const rows: string[][] = [];
  const fma = fmaCeiling(gpu, gpu.adapter.software ? 2 ** 28 : 2 ** 35);
  const copy = copyCeiling(gpu);
  for (const comparison of comparisons(gpu)) {
    const { title, flops, bytes, long, goal } = comparison;
    const { checked, refusals: refused } = await contenders(gpu, opened, comparison);
    refusals.push(...refused);
    const times = await compare(gpu, [...checked, fma, copy], {
      rounds: long ? 3 : 6,
      sampleMilliseconds: 100,
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
    console.error(rows[rows.length - 1].join(" | "));
  }
  return rows;
}

/** One row a kernel, at four lengths each. */
async function grownRows(gpu: Gpu): Promise<string[][]> {
  const rows: string[][] = [];
  for await (const growth of measureGrowth(gpu)) {
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

async function writeTables(parts: readonly string[]): Promise<void> {
  const text = await Deno.readTextFile(README);
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new Error(`Cannot write the tables as bench/README.md lacks ${BEGIN} and ${END}`);
  }
  const between = `${BEGIN}\n\n${parts.join("\n\n")}\n\n`;
  await Deno.writeTextFile(README, text.slice(0, begin) + between + text.slice(end));
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", README.pathname] }).output();
}
