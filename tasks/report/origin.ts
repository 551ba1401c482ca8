import type { Row } from "../sweep/rows.ts";
import { escape, listOf, table } from "./html.ts";
import type { Results, RunOrigin } from "./runs.ts";
import { tokens } from "./theme.ts";

/** A cell's time. */
interface TimedCell {
  readonly model: string;
  readonly task: string;
  readonly length: number;
  readonly started?: string;
  readonly seconds: number;
}

/** When, how and on what each run was made, and where its results are. */
export function originText(results: Results, linkOf: (csv: string) => string): string {
  const { runs, models, rows, failures, origins } = results;
  return origins.map((origin) => {
    const own = new Set(models.filter(({ run }) => run === origin.name).map(({ model }) => model));
    const ofRun = runs.length === 1
      ? [...rows, ...failures]
      : rows.filter(({ model }) => own.has(model));
    const title = runs.length === 1 ? "" : `<b>${escape(origin.name)}</b>: `;
    return `<p>${title}${sentences(origin, ofRun, linkOf).join(" ")}</p>`;
  }).join("\n");
}

/** What runs reproduce, and what differs from that. */
export function sourceText({ origins }: Pick<Results, "origins">): string {
  return origins.flatMap(({ name, source, differences = [] }) => {
    if (source === undefined && differences.length === 0) return [];
    const whose = origins.length === 1 ? "" : `${escape(name)}: `;
    const list = differences.map((text) => `<li>${escape(text)}</li>`).join("");
    return [
      `<h3>${whose}what it reproduces, and what differs</h3><p>${escape(source ?? "")}</p>${
        list === "" ? "" : `<ul>${list}</ul>`
      }`,
    ];
  }).join("\n");
}

function sentences(
  { csv, commands = [], machines = [], models = [], texts = [] }: RunOrigin,
  rows: readonly Row[],
  linkOf: (csv: string) => string,
): string[] {
  const code = (text: string): string => `<code>${escape(text)}</code>`;
  const different = (
    column: "adapter" | "commit" | "version",
  ): string[] => [
    ...new Set(rows.flatMap((row) => row[column] ?? []).filter((value) => value !== "")),
  ];
  const commits = different("commit");
  return [
    ...timeOf(timedCells(rows)),
    ...(commands.length === 0 ? [] : [`By ${listOf(commands.map(code))}.`]),
    `Lengthwise ${escape(listOf(different("version")))}${
      commits.length === 0
        ? ""
        : `, ${commits.length === 1 ? "commit" : "commits"} ${listOf(commits.map(code))}`
    }, on ${escape(listOf([...different("adapter"), ...machines]))}.`,
    ...(models.length === 0 ? [] : [`Of its models: ${models.map(escape).join("; ")}.`]),
    ...(texts.length === 0 ? [] : [`Texts that were asked: ${texts.map(escape).join("; ")}.`]),
    ...(csv === undefined ? [] : [`All numbers: ${link(linkOf(csv))}.`]),
  ];
}

function link(path: string): string {
  const address = path.split("/").map(encodeURIComponent).join("/");
  return `<a href="${address}">${escape(path)}</a>`;
}

function timeOf(cells: readonly TimedCell[]): string[] {
  const started = cells.flatMap(({ started }) => started ?? []).map((text) => Date.parse(text));
  const seconds = cells.reduce((sum, cell) => sum + cell.seconds, 0);
  if (started.length === 0) return [];
  const first = started.reduce((a, b) => Math.min(a, b));
  const last = cells.reduce(
    (end, { started = "", seconds }) => Math.max(end, (Date.parse(started) || 0) + 1000 * seconds),
    0,
  );
  return [
    `Run on ${period(first, last)} UTC; its ${
      cells.length === 1 ? "one cell" : `${cells.length.toLocaleString("en")} cells`
    } took ${lasting(seconds)}.`,
  ];
}

/** From one moment to another: of one day, the day once. */
function period(first: number, last: number): string {
  const [from, to] = [moment(first), moment(last)];
  const [day, clock] = to.split(" ");
  return from.startsWith(day) ? `${from} to ${clock}` : `${from} to ${to}`;
}

function moment(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ");
}

/** Seconds in words: 4.2 s, 12 min 5 s, 3 h 4 min. */
function lasting(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor(whole / 60) % 60} min`;
}

/** The cells whose time is known: all rows of a cell have the same. */
function timedCells(rows: readonly Row[]): TimedCell[] {
  const cells = new Map<string, TimedCell>();
  for (const row of rows) {
    const { model, train_seed, task, template, length, depth, load, seed, seconds, started } = row;
    if (seconds === undefined) continue;
    const key = JSON.stringify([model, train_seed, task, template, length, depth, load, seed]);
    cells.set(key, { model, task, length, started, seconds });
  }
  return [...cells.values()];
}

/** How many lines the table of what took long has. */
const LONGEST = 8;

/** What took long: the time of cells by model, task and length, the longest first; empty if unknown. */
export function longTable({ rows, failures }: Results): string {
  const cells = timedCells([...rows, ...failures]);
  const whole = cells.reduce((sum, { seconds }) => sum + seconds, 0);
  if (whole === 0) return "";
  const groups = [
    ...Map.groupBy(cells, ({ model, task, length }) => JSON.stringify([model, task, length]))
      .values(),
  ].map((group) => ({
    ...group[0],
    cells: group.length,
    seconds: group.reduce((sum, { seconds }) => sum + seconds, 0),
  })).sort((a, b) => b.seconds - a.seconds);
  return table(groups.slice(0, LONGEST), [
    { head: "model", cell: ({ model }) => escape(model), text: "short" },
    { head: "task", cell: ({ task }) => escape(task), text: "short" },
    { head: "length", cell: ({ length }) => tokens(length) },
    { head: "cells", cell: ({ cells }) => String(cells) },
    { head: "time", cell: ({ seconds }) => lasting(seconds) },
    { head: "of all", cell: ({ seconds }) => `${Math.round(100 * seconds / whole)}%` },
  ]);
}
