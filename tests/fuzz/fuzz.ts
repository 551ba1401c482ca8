import { fromFileUrl } from "@std/path";

/** What a round attacks, and for how long. */
export interface FuzzOptions {
  /** Seconds in all. */
  readonly seconds: number;
  /** All cases follow from it. */
  readonly seed: number;
  /** The kinds and each one's share of the time. */
  readonly shares: Readonly<Record<string, number>>;
  /** The first case of each kind; `@default` 0. */
  readonly first?: number;
  /** The most cases of a kind; `@default` as many as there is time for. */
  readonly most?: number;
  /** Called with each failure as it is found. */
  readonly onFailure?: (failure: FuzzFailure) => void;
}

/** A case that found something. */
export interface FuzzFailure {
  /** Of which kind. */
  readonly kind: string;
  /** Which of the kind's cases: `"scan"`. */
  readonly target: string;
  /** Its number: with the seed and the kind, all that it takes to run it again. */
  readonly index: number;
  /** What it found. */
  readonly what: "wrong" | "hang" | "crash" | "memory";
  /** In words. */
  readonly reason: string;
  /** What it drew. */
  readonly drawn?: Readonly<Record<string, unknown>>;
}

/** What a round did. */
export interface FuzzReport {
  /** Cases by kind, target and outcome. */
  readonly counts: Readonly<Record<string, Record<string, Record<string, number>>>>;
  /** What was found. */
  readonly failures: readonly FuzzFailure[];
}

interface Event {
  readonly begin?: number;
  readonly end?: number;
  readonly target?: string;
  readonly patience?: number;
  readonly outcome?: string;
  readonly reason?: string;
  readonly drawn?: Record<string, unknown>;
}

const WORKER = fromFileUrl(new URL("worker.ts", import.meta.url));
/** Memory that no case needs. */
const BYTES = 6 * 2 ** 30;
/** Seconds that opening a kind may take. */
const OPENING = 120;

/** Attacks each kind in a process of its own, one after another. */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const counts: Record<string, Record<string, Record<string, number>>> = {};
  const failures: FuzzFailure[] = [];
  const total = Object.values(options.shares).reduce((sum, share) => sum + share, 0);
  const folder = await Deno.makeTempDir({ prefix: "lengthwise-fuzz-" });
  await using _ = {
    [Symbol.asyncDispose]: (): Promise<void> => Deno.remove(folder, { recursive: true }),
  };
  for (const [kind, share] of Object.entries(options.shares)) {
    const end = performance.now() + 1000 * options.seconds * share / total;
    counts[kind] = {};
    const count = (target: string, outcome: string): void => {
      const own = counts[kind][target] ??= {};
      own[outcome] = (own[outcome] ?? 0) + 1;
    };
    const { first = 0, most = Infinity } = options;
    let next = first;
    while (next < first + most && (next === first || performance.now() < end)) {
      const run = new Run(kind, {
        ...options,
        first: next,
        most: first + most - next,
        end,
        folder,
      });
      next = await run.work((event) => {
        if (event.failure === undefined) return count(event.target, event.outcome);
        count(event.target, event.failure.what);
        failures.push(event.failure);
        options.onFailure?.(event.failure);
      });
    }
  }
  return { counts, failures };
}

interface Ended {
  readonly target: string;
  readonly outcome: string;
  readonly failure?: FuzzFailure;
}

/** One process, until the time is over, it has run its cases, or a case has ended it. */
class Run {
  readonly #kind: string;
  readonly #end: number;
  readonly #process: Deno.ChildProcess;
  #under: { index: number; target: string } | undefined;
  #late: number;
  #stopped: "hang" | "memory" | "time" | undefined;

  constructor(
    kind: string,
    { seed, first, most, end, folder }: {
      readonly seed: number;
      readonly first: number;
      readonly most: number;
      readonly end: number;
      readonly folder: string;
    },
  ) {
    this.#kind = kind;
    this.#end = end;
    this.#late = performance.now() + 1000 * OPENING;
    const count = Math.min(most, Number.MAX_SAFE_INTEGER - first);
    this.#process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", "--no-check", WORKER, kind, `${seed}`, `${first}`, `${count}`],
      env: { TMPDIR: folder }, // whatever the process leaves is in it
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** @returns The number of the next case. */
  async work(onEnd: (ended: Ended) => void): Promise<number> {
    const watch = setInterval(() => this.#watch(), 250);
    const words = new Response(this.#process.stderr).text();
    let next = 0;
    try {
      for await (const line of linesOf(this.#process.stdout)) {
        const event: Event = JSON.parse(line);
        if (event.begin !== undefined) {
          this.#under = { index: event.begin, target: event.target! };
          this.#late = performance.now() + 1000 * event.patience!;
        } else if (this.#under) {
          const { index, target } = this.#under;
          this.#under = undefined;
          next = index + 1;
          const { outcome = "", reason = "", drawn } = event;
          const failure = outcome === "wrong"
            ? { kind: this.#kind, target, index, what: outcome, reason, drawn } as const
            : undefined;
          onEnd({ target, outcome, failure });
          if (performance.now() > this.#end) this.#stop("time");
        }
      }
    } finally {
      clearInterval(watch);
    }
    const { code, signal } = await this.#process.status;
    const ended = (await words).slice(-2000);
    if (this.#stopped === "time" || code === 0) return this.#under ? this.#under.index : next;
    if (this.#under === undefined) throw new Error(`Cannot open ${this.#kind}: ${ended}`);
    const what: "hang" | "memory" | "crash" = this.#stopped ?? "crash";
    const reason = {
      hang: "it does not end",
      memory: `it takes more than ${BYTES} bytes`,
      crash: `the process ended with ${signal ?? code}: ${ended}`,
    }[what];
    const failure: FuzzFailure = { kind: this.#kind, ...this.#under, what, reason };
    onEnd({ target: failure.target, outcome: what, failure });
    return failure.index + 1;
  }

  #watch(): void {
    const now = performance.now();
    if (now > this.#late) this.#stop("hang");
    else if (residentBytes(this.#process.pid) > BYTES) this.#stop("memory");
    // A case that is under way is let finish, so that one at least is counted.
  }

  #stop(why: "hang" | "memory" | "time"): void {
    if (this.#stopped) return;
    this.#stopped = why;
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended by itself
    }
  }
}

/** Whole lines of text; one that is cut off by the end is left out. */
async function* linesOf(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** Memory of a process where the system tells it, as Linux does. */
function residentBytes(pid: number): number {
  try {
    return 4096 * Number(Deno.readTextFileSync(`/proc/${pid}/statm`).split(" ")[1]);
  } catch {
    return 0;
  }
}
