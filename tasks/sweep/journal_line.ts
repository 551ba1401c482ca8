import { crc32 } from "node:zlib";
import * as v from "valibot";
import type { SweepConfiguration } from "./configuration.ts";
import type { PlannedModel } from "./plan.ts";
import { COLUMNS, isOptional, isText, type Row } from "./rows.ts";
import type { Shard } from "./shards.ts";

/** The first line of a journal: whose it is. */
export interface JournalHeader {
  /** The version of Lengthwise that began it. */
  readonly lengthwise: string;
  /** Hash of the configuration, the models and the version. */
  readonly hash: string;
  /** What is swept. */
  readonly configuration: SweepConfiguration;
  /** Which share of it, where it is swept in shards. */
  readonly shard?: Shard;
  /** The command that began it, where it was one. */
  readonly command?: string;
  /** The machine that began it, in words. */
  readonly machine?: string;
  /** Which texts are asked, one per line: "text: all of book.txt". */
  readonly texts?: readonly string[];
  /** What is asked of which model, in all shards: its report says what is missing. */
  readonly models?: readonly PlannedModel[];
}

/** Any other line: what became of a cell. */
export interface JournalEntry {
  /** The cell's coordinates, by `cellKey`. */
  readonly cell: string;
  /** Its results. */
  readonly rows?: readonly Row[];
  /** Why it has none. */
  readonly failed?: string;
  /** What it failed on. */
  readonly adapter?: string;
  /** How long it took, in seconds; the same for all its rows. */
  readonly seconds?: number;
  /** When it was begun: ISO 8601, UTC. */
  readonly started?: string;
  /** The commit of Lengthwise that ran it, where it ran from a repository. */
  readonly commit?: string;
}

/** A line of a journal. */
export type JournalLine =
  | { readonly kind: "header"; readonly header: JournalHeader }
  | { readonly kind: "entry"; readonly entry: JournalEntry };

/** How a line ends that has a checksum: lines that older versions wrote have none. */
const SEALED = /,"checksum":"([0-9a-f]{8})"\}$/;

const COUNT = v.pipe(v.number(), v.integer(), v.minValue(0));
const NAMES = v.array(v.string());
const NUMBERS = v.array(v.number());

const ROW = v.looseObject(Object.fromEntries(
  COLUMNS.map((column) => {
    const value = isText(column) ? v.string() : v.pipe(v.number(), v.finite());
    return [column, isOptional(column) ? v.optional(value) : value];
  }),
));

// Another field is a checksum whose name was damaged.
const ENTRY = v.pipe(
  v.strictObject({
    cell: v.string(),
    rows: v.optional(v.array(ROW)),
    failed: v.optional(v.string()),
    adapter: v.optional(v.string()),
    seconds: v.optional(v.number()),
    started: v.optional(v.string()),
    commit: v.optional(v.string()),
  }),
  v.check(({ rows, failed }) => (rows === undefined) !== (failed === undefined)),
);

const HEADER = v.strictObject({
  lengthwise: v.string(),
  hash: v.string(),
  configuration: v.looseObject({
    name: v.string(),
    models: v.array(v.union([v.string(), v.looseObject({ model: v.string() })])),
    tasks: NAMES,
    lengths: v.array(v.union([v.number(), v.string()])),
    depths: NUMBERS,
    loads: NUMBERS,
    seeds: NUMBERS,
    samples: v.number(),
  }),
  shard: v.optional(v.object({ index: COUNT, count: COUNT })),
  command: v.optional(v.string()),
  machine: v.optional(v.string()),
  texts: v.optional(NAMES),
  models: v.optional(v.array(v.looseObject({
    name: v.string(),
    changes: v.optional(NAMES),
    unchanged: v.optional(v.string()),
    checkpoint: v.optional(v.string()),
    carries: v.optional(v.boolean()),
    cells: v.record(v.string(), v.record(v.string(), COUNT)),
  }))),
});

/**
 * A line as it is written, its end included. Its last field is the CRC-32 of the object without that
 * field, so that a byte that was damaged on the disk is noticed.
 */
export function writeLine(line: JournalHeader | JournalEntry): string {
  const text = JSON.stringify(line);
  return `${text.slice(0, -1)},"checksum":"${checksum(text)}"}\n`;
}

/** What a line says, without its end; undefined where it is damaged. */
export function readLine(bytes: Uint8Array): JournalLine | undefined {
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const seal = SEALED.exec(text);
    const unsealed = seal === null ? text : `${text.slice(0, seal.index)}}`;
    if (seal !== null && seal[1] !== checksum(unsealed)) return undefined;
    value = JSON.parse(unsealed);
  } catch {
    return undefined;
  }
  const entry = v.safeParse(ENTRY, value);
  if (entry.success) return { kind: "entry", entry: value as { cell: string; rows?: Row[] } };
  const header = v.safeParse(HEADER, value);
  return header.success ? { kind: "header", header: value as unknown as JournalHeader } : undefined;
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
