import { visibleText } from "../names.ts";

/** Prints lines on standard output; no name in them can steer the terminal. */
export function print(text: string): void {
  console.log(visibleText(text));
}

/** Prints lines on standard error; no name in them can steer the terminal. */
export function printError(text: string): void {
  console.error(visibleText(text));
}

/** What has been asked of the process while it runs. */
export interface Stop extends Disposable {
  /** To stop at the next good moment: after a cell, at a checkpoint. */
  readonly signal: AbortSignal;
  /** To stop as soon as can be, and to leave out what is not finished. */
  readonly now: AbortSignal;
}

/** The exit code of a command that was told to stop and did. */
export const STOPPED = 130;

/**
 * Listens to Ctrl-C and to SIGTERM, by which Slurm ends a job at its time limit and Kubernetes a pod
 * that it evicts: some 30 seconds later they kill it. Ctrl-C stops at the next good moment, a second
 * one or SIGTERM as soon as can be, and what comes after that at once.
 *
 * @param moment The next good moment, in words: "after this cell".
 */
export function listenForStop(moment: string): Stop {
  const [soon, now] = [new AbortController(), new AbortController()];
  const interrupt = (): void => {
    if (now.signal.aborted) Deno.exit(STOPPED);
    if (soon.signal.aborted) return terminate();
    soon.abort();
    printError(`\nstopping ${moment}; press again to stop now`);
  };
  const terminate = (): void => {
    if (now.signal.aborted) Deno.exit(STOPPED);
    soon.abort();
    now.abort();
    printError("\nstopping now");
  };
  const listeners: [Deno.Signal, () => void][] = [["SIGINT", interrupt]];
  if (Deno.build.os !== "windows") listeners.push(["SIGTERM", terminate]); // which has none
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return {
    signal: soon.signal,
    now: now.signal,
    [Symbol.dispose]: () => {
      for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}
