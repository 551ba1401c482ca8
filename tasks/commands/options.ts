import { parseArgs } from "@std/cli/parse-args";
import { parseBytes, parseTokens } from "../sizes.ts";
import { shellWord } from "../sweep/slurm.ts";
import { didYouMean } from "../../models/did_you_mean.ts";

/** An option of a command. */
export interface Option {
  /** What it takes, for the help: `N`, `FOLDER`, `NAME,…`; nothing for a switch. */
  readonly takes?: string;
  /** What it does, in a line. */
  readonly help: string;
  /** What holds without it, in words; every option that takes a value says so. */
  readonly default?: string;
  /** Another name for it: `model` of `models`. */
  readonly alias?: string;
  /** Whether its value may begin with a dash. */
  readonly verbatim?: boolean;
  /** Options of which one must be there, as it changes nothing without. */
  readonly needs?: readonly string[];
  /** Options beside which it cannot stand, as one of the two would change nothing. */
  readonly excludes?: readonly string[];
}

/** Command-line interface of a command: its help and its options come from here alone. */
export interface CommandSpecification {
  /** The command's name. */
  readonly name: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** What it takes without a name, for the help: `[NAME]`. */
  readonly operands?: string;
  /** More about it, for the help. */
  readonly details?: string;
  /** The options by name. */
  readonly options: Readonly<Record<string, Option>>;
}

/** A command as it was called. */
export interface ParsedCommand {
  /** Its name and its arguments, as they were typed. */
  readonly words: readonly string[];
  /** What has no name. */
  readonly operands: readonly string[];
  /** Options with a value. */
  readonly values: ReadonlyMap<string, string>;
  /** Switches that are on. */
  readonly switches: ReadonlySet<string>;
}

/** A command that was called wrongly. */
export class UsageError extends Error {
  /** The error's name. */
  override readonly name = "UsageError";
}

const COMMON: Readonly<Record<string, Option>> = {
  verbose: { help: "print where an error comes from" },
  help: { help: "print this" },
};

/**
 * The options of a command line.
 *
 * @throws {UsageError} for an unknown option, naming one that is near, for one that lacks its value,
 * or that changes nothing without another, or beside it.
 */
export function parseCommand(
  { name, options, operands }: CommandSpecification,
  args: readonly string[],
): ParsedCommand {
  const all = { ...options, ...COMMON };
  const names = Object.keys(all);
  const valued = names.filter((option) => all[option].takes !== undefined);
  const joined: string[] = [];
  const aliases = new Map(
    Object.entries(all).flatMap(([option, { alias }]) => alias ? [[alias, option]] : []),
  );
  for (const written of args) {
    const arg = written.replace(
      /^--([\w-]+)/,
      (dashed, option) => aliases.has(option) ? `--${aliases.get(option)}` : dashed,
    );
    const last = all[joined.at(-1)?.slice(2) ?? ""];
    // A value may begin with a dash where it is a number, so that the error says what is wrong.
    const isValue = last?.verbatim || (last?.takes !== undefined && /^-[\d.]/.test(arg));
    if (isValue) joined.push(`${joined.pop()}=${arg}`);
    else joined.push(arg);
  }
  const parsed = parseArgs(joined, {
    string: ["_", ...valued],
    collect: valued,
    boolean: names.filter((option) => !valued.includes(option)),
    alias: { h: "help" },
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw new UsageError(
        didYouMean(
          "option",
          arg.replace(/=.*/s, ""),
          names.map((option) => `--${option}`),
          `./run ${name} --help lists all`,
        ),
      );
    },
  }) as Record<string, unknown> & { _: unknown[] };
  const values = new Map<string, string>();
  for (const option of valued) {
    const given = parsed[option] as readonly string[];
    if (given.length === 0) continue;
    const { takes, help } = all[option];
    if (given.includes("")) {
      throw new UsageError(`--${option} takes ${takes}, and there is none: ${help}`);
    }
    // A list has what all of them name; of others the last counts, so that a command can be changed.
    values.set(option, takes!.includes("…") ? given.join(",") : given.at(-1)!);
  }
  if (operands === undefined && parsed._.length > 0 && parsed.help !== true) {
    throw new UsageError(`${name} takes options only: current argument is ${parsed._[0]}`);
  }
  const switches = new Set(names.filter((option) => parsed[option] === true));
  const isGiven = (option: string): boolean => values.has(option) || switches.has(option);
  for (const [option, { needs, excludes = [] }] of Object.entries(all)) {
    if (!isGiven(option)) continue;
    const excluded = excludes.find(isGiven);
    if (excluded !== undefined) {
      throw new UsageError(
        `--${option} and --${excluded} cannot stand side by side, as one would change nothing: leave one of them out`,
      );
    }
    if (needs !== undefined && !needs.some(isGiven)) {
      throw new UsageError(
        `--${option} changes nothing without ${
          needs.map((other) => `--${other}`).join(" or ")
        }: add it, or leave --${option} out`,
      );
    }
  }
  return { words: [name, ...args], operands: parsed._.map(String), values, switches };
}

/** A command as it can be typed again, but for what only continues with it, or is a share of it. */
export function commandLine({ words }: Pick<ParsedCommand, "words">): string {
  const kept = words.filter((word, i) =>
    word !== "--resume" && !/^--shard(=|$)/.test(word) && words[i - 1] !== "--shard"
  );
  return ["./run", ...kept].map(shellWord).join(" ");
}

/** A command's help. */
export function helpOf(command: CommandSpecification): string {
  const all = Object.entries({ ...command.options, ...COMMON }).map((
    [name, { alias, takes, help, default: otherwise }],
  ) => ({
    left: `--${name}${alias === undefined ? "" : `, --${alias}`}${
      takes === undefined ? "" : ` ${takes}`
    }`,
    help: otherwise === undefined ? help : `${help} (default: ${otherwise})`,
  }));
  const width = Math.max(...all.map(({ left }) => left.length));
  return [
    `${command.summary}`,
    "",
    `usage: ./run ${command.name}${
      command.operands === undefined ? "" : ` ${command.operands}`
    } [options]`,
    "",
    ...all.map(({ left, help }) => `  ${left.padEnd(width)}  ${help}`),
    ...(command.details === undefined ? [] : ["", command.details]),
  ].join("\n");
}

/** The parts of a list such as `a,b,c`; empty where there is no value. */
export function listOf(value: string | undefined): string[] {
  return (value ?? "").split(",").map((part) => part.trim()).filter((part) => part !== "");
}

/** A list of numbers. @throws {UsageError} where a part is not a number. */
export function numbersOf(option: string, value: string | undefined): number[] {
  return listOf(value).map((part) => numberOf(option, part)!);
}

/** A number. @throws {UsageError} where it is none. */
export function numberOf(option: string, value: string): number;
/** A number, where there is a value. @throws {UsageError} where it is none. */
export function numberOf(option: string, value: string | undefined): number | undefined;
export function numberOf(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const number = Number(value);
  if (!Number.isFinite(number)) {
    throw new UsageError(`--${option} takes numbers: current value is ${value}`);
  }
  return number;
}

/** Tokens such as 512 or 4k, where there is a value. @throws {UsageError} where it is none. */
export function tokensOf(option: string, value: string): number;
/** Tokens such as 512 or 4k, where there is a value. @throws {UsageError} where it is none. */
export function tokensOf(option: string, value: string | undefined): number | undefined;
export function tokensOf(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const tokens = parseTokens(value);
  if (tokens !== undefined) return tokens;
  throw new UsageError(
    `--${option} takes positive integers, such as 512 or 4k: current value is ${value}`,
  );
}

/** Bytes such as 8GB, where there is a value. @throws {UsageError} where it is none. */
export function bytesOf(option: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const bytes = parseBytes(value);
  if (bytes !== undefined) return bytes;
  throw new UsageError(`--${option} takes bytes, such as 8GB or 512MB: current value is ${value}`);
}

/** A number that may be typed as 1k, where there is a value. @throws {UsageError} where it is none. */
export function amountOf(option: string, value: string | undefined): number | undefined {
  return parseTokens(value ?? "") ?? numberOf(option, value);
}

/** A positive integer, also as 1k, where there is a value. @throws {UsageError} where it is none. */
export function countOf(option: string, value: string | undefined): number | undefined {
  const number = amountOf(option, value);
  if (number === undefined || (Number.isInteger(number) && number > 0)) return number;
  throw new UsageError(`--${option} takes positive integers: current value is ${value}`);
}
