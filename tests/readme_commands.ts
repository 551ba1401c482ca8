import { fromFileUrl } from "@std/path";

/** A block of README.md. */
export interface Block {
  /** What stands behind its opening marks: `ts`, `json`, nothing for commands. */
  readonly language: string;
  readonly text: string;
}

/** The blocks of README.md, in their order. */
export async function readmeBlocks(): Promise<Block[]> {
  const path = fromFileUrl(new URL("../README.md", import.meta.url));
  const text = await Deno.readTextFile(path);
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .map(([, language, text]) => ({ language, text }));
}

/** A command of README.md. */
export interface ReadmeCommand {
  /** As it is printed, without the comment behind it. */
  readonly printed: string;
  /** The words behind `./run`. */
  readonly words: readonly string[];
  /** The command that its output goes into, where there is one: `kubectl apply -f -`. */
  readonly into?: string;
}

/** The commands of README.md, in their order. */
export async function readmeCommands(): Promise<ReadmeCommand[]> {
  const blocks = await readmeBlocks();
  return blocks.filter(({ language }) => language === "")
    .flatMap(({ text }) => text.split("\n"))
    .filter((line) => line.startsWith("./run "))
    .map((line) => {
      const printed = line.replace(/ +#.*$/, "").trimEnd();
      const [command, into] = printed.split(" | ");
      return {
        printed,
        words: wordsOf(command.slice("./run ".length)),
        ...(into === undefined ? {} : { into }),
      };
    });
}

/** The words of a command, those in double quotes whole. */
function wordsOf(command: string): string[] {
  return (command.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ""));
}

/** The question that README.md has its reader write. */
export async function readmeQuestion(): Promise<string> {
  return (await readmeBlocks()).find(({ language }) => language === "json")!.text;
}
