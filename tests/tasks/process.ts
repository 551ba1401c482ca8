import { fromFileUrl, join } from "@std/path";

/** The repository's folder. */
export const ROOT: string = fromFileUrl(new URL("../../", import.meta.url));

/** What a command wrote, and how it ended. */
export interface Ending {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A script of the repository as a command, with these variables besides ours. */
export function script(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", join(ROOT, path), ...args],
    cwd: ROOT,
    env,
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a command to its end. */
export async function ending(command: Deno.Command): Promise<Ending> {
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Waits for something. @throws {Error} where it has not come after `seconds`. */
export async function until(
  what: string,
  seconds: number,
  condition: () => Promise<boolean> | boolean,
): Promise<void> {
  const end = performance.now() + 1000 * seconds;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`Waited ${seconds} s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
