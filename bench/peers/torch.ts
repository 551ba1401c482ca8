/**
 * PyTorch on the CPU, by `torch_cpu.py`: what native code does with the cores that a software adapter
 * computes on.
 *
 * @module
 */
import { parse } from "@std/csv";
import { fromFileUrl } from "@std/path";

const SCRIPT = fromFileUrl(new URL("./torch_cpu.py", import.meta.url));

/** PyTorch in a process of its own, which is asked row by row. */
export interface Torch extends AsyncDisposable {
  /** With its version and its threads. */
  readonly name: string;
  /** Milliseconds that it takes for a comparison. @throws {Error} where it fails, as its output is not right. */
  milliseconds(title: string): Promise<number>;
}

/**
 * Starts it.
 *
 * @param python The Python that has PyTorch.
 * @throws {Error} where it does not start.
 */
export async function openTorch(python: string): Promise<Torch> {
  const child = new Deno.Command(python, {
    args: [SCRIPT, "--asked"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const answer = async (): Promise<string> => {
    while (!text.includes("\n")) {
      const { value, done } = await output.read();
      if (done) throw new Error(`${SCRIPT} ended: what it says is above`);
      text += value;
    }
    const end = text.indexOf("\n");
    const [[, second]] = parse(text.slice(0, end));
    text = text.slice(end + 1);
    return second;
  };
  const name = await answer();
  return {
    name,
    async milliseconds(title): Promise<number> {
      await input.write(new TextEncoder().encode(`${title}\n`));
      return Number(await answer());
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await input.close();
      await child.status;
    },
  };
}
