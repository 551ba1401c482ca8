import { workerData } from "node:worker_threads";
import vm from "node:vm";
import { ANSWERED, type Question, type Reply, type Request, type Start } from "./messages.ts";

/** What is made in a worker: its methods, by their names. */
export type Methods = Readonly<Record<string, (...values: never[]) => unknown>>;

/** Characters of an error. */
const LONGEST_REASON = 500;

/** Serves things that are made by a function, in a worker that a {@linkcode Sandbox} started. */
export function serve(make: (...values: never[]) => Methods): void {
  // Packages print what they find in strangers' files, control characters and all.
  Object.assign(console, { debug: ignore, log: ignore, info: ignore, warn: ignore, error: ignore });
  const { signal, port } = workerData as Start;
  const status = new Int32Array(signal);
  const made = new Map<number, Methods>();
  let job: () => unknown = () => undefined;
  // Its timeout interrupts any loop and any regular expression, which ending a worker does not.
  const script = new vm.Script("run()");
  const context = vm.createContext({ run: () => job() });
  const timed = (milliseconds: number, run: () => unknown): unknown => {
    job = run;
    return script.runInContext(context, { timeout: milliseconds });
  };
  const answer = (request: Question): unknown => {
    const { milliseconds, values } = request;
    if ("make" in request) {
      made.set(request.make, timed(milliseconds, () => make(...values as never[])) as Methods);
      return undefined;
    }
    const { method, size } = request;
    const methods = made.get(request.call)!;
    const value = timed(milliseconds, () => methods[method](...values as never[]));
    const actual = sizeOf(value);
    if (actual > size) throw new Error(`it gave ${actual} characters, more than ${size}`);
    return value;
  };
  port.on("message", (request: Request) => {
    if ("drop" in request) {
      made.delete(request.drop);
      return;
    }
    const { number } = request;
    let reply: Reply;
    try {
      reply = { number, value: answer(request) };
    } catch (error) {
      reply = { number, error: reasonOf(error, request) };
    }
    port.postMessage(reply);
    Atomics.store(status, 0, ANSWERED);
    Atomics.notify(status, 0);
  });
  Atomics.store(status, 0, ANSWERED);
  Atomics.notify(status, 0);
}

function ignore(): void {}

function sizeOf(value: unknown): number {
  return typeof value === "string" || value instanceof Uint32Array ? value.length : 0;
}

function reasonOf(error: unknown, { milliseconds }: Question): string {
  const { code, message } = error as { code?: string; message?: string };
  return code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
    ? `it took longer than ${Math.round(milliseconds / 100) / 10} s`
    : (message ?? `${error}`).slice(0, LONGEST_REASON);
}
