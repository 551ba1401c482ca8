import { didYouMean } from "../models/did_you_mean.ts";
import {
  type CommandSpecification,
  helpOf,
  parseCommand,
  type ParsedCommand,
} from "./commands/options.ts";
import { print, printError } from "./commands/terminal.ts";

/** A command of the command line. */
export interface Command {
  /** Its name, options and help. */
  readonly specification: CommandSpecification;
  /** Does it. @returns The exit code. */
  readonly run: (command: ParsedCommand) => Promise<number>;
}

/**
 * Runs a command line: help where it is asked for, an error as one line on standard error.
 *
 * @returns The exit code.
 */
export async function runCommandLine(
  args: readonly string[],
  commands: readonly Command[],
): Promise<number> {
  const [name, ...rest] = args;
  const command = commands.find(({ specification }) => specification.name === name);
  const names = commands.map(({ specification }) => specification.name);
  if (command === undefined) {
    if (name === undefined || name === "--help" || name === "-h" || name === "help") {
      print(overview(commands));
      return name === undefined ? 1 : 0;
    }
    printError(didYouMean("command", name, names, "see --help"));
    return 1;
  }
  let verbose = rest.includes("--verbose");
  try {
    const parsed = parseCommand(command.specification, rest);
    verbose = parsed.switches.has("verbose");
    if (parsed.switches.has("help")) {
      print(helpOf(command.specification));
      return 0;
    }
    return await command.run(parsed);
  } catch (error) {
    if (verbose || !(error instanceof Error)) printError(Deno.inspect(error));
    else printError(`error: ${plain(error.message)}`);
    return 1;
  }
}

/** A message without what the system adds to it: its errors' numbers, and the call. */
function plain(message: string): string {
  return message.replace(/ \(os error \d+\)(?:: \w+ '[^']*'(?: -> '[^']*')?)?/g, "");
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ specification }) => specification.name.length));
  return [
    "usage: ./run <command> [options]",
    "",
    ...commands.map(({ specification: { name, summary } }) =>
      `  ${name.padEnd(width)}  ${summary}`
    ),
    "",
    "Each has --help.",
  ].join("\n");
}
