import { nameOf } from "../../tasks/subjects/description.ts";
import { didYouMean } from "../../models/did_you_mean.ts";
import {
  type Answers,
  createTask,
  type Sample,
  scoredPositions,
  smallLayout,
  type SmallTaskName,
  type Subject,
  type SubjectCard,
  type SubjectSource,
  type Task,
  TEXT_TASKS,
  UNSCORED,
} from "../../tasks/mod.ts";

/**
 * Guesses of the oracle about a sample: the same each time, but not from the draws that made it.
 */
class Guesses {
  #state: number;

  constructor({ tokens }: Sample) {
    this.#state = tokens.reduce((hash, token) => Math.imul(hash ^ token, 16777619), 12345);
  }

  below(count: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor(this.#state / 2 ** 32 * count);
  }
}

/**
 * Answers from the last `window` tokens alone, by looking at them, and guesses where they do not say.
 * It knows nothing of a sample's evidence, so that it can be held against the window law.
 */
export function answerFromWindow(
  task: Task,
  sample: Sample,
  t: number,
  window: number,
  guess: (low: number, high: number) => number,
): number {
  const { tokens } = sample;
  const first = Math.max(0, t - window + 1);
  const options = task.options as Record<string, [number, number]>;
  switch (task.name) {
    case "text":
    case "forgetting-curve":
    case "context-gain":
      return afterTheSame(tokens, t, first) ?? guess(0, 255);
    case "mqar": {
      for (let i = t - 1; i >= first; i--) {
        if (tokens[i] === tokens[t] && i + 1 < 2 * loadOf(sample) + prefixOf(task)) {
          return tokens[i + 1];
        }
      }
      return guess(...options.values);
    }
    case "induction": {
      for (let i = t - 1; i >= first; i--) if (tokens[i] === tokens[t]) return tokens[i + 1];
      return guess(...options.symbols);
    }
    case "selective-copying": {
      const [low, high] = options.symbols;
      const marks = tokens.indexOf(tokens[t]);
      const back = tokens.length - t;
      const seen = [...tokens.subarray(first, marks)].filter((token) =>
        token >= low && token <= high
      );
      return seen.at(-back) ?? guess(low, high);
    }
    case "niah-noise":
    case "niah-essay":
    case "niah-needles":
    case "in-context-recall":
    case "noisy-in-context-recall": {
      for (let i = t - 1; i >= first; i--) if (tokens[i] === tokens[t]) return tokens[i + 1];
      return guess(...options.values);
    }
    case "fuzzy-in-context-recall": {
      const [low, high] = options.keys;
      const isKey = (i: number): boolean => i >= first && tokens[i] >= low && tokens[i] <= high;
      let end = t;
      while (end >= first && !isKey(end)) end--;
      let start = end;
      while (isKey(start - 1)) start--;
      const key = tokens.slice(start, end + 1).join();
      for (let i = start - 1; i >= first; i--) {
        const next = i + end - start + 1;
        if (tokens.slice(i, next).join() === key && !isKey(next) && !isKey(i - 1)) {
          return tokens[next + t - end];
        }
      }
      return guess(...options.values);
    }
    case "compression": {
      const from = t - Math.floor((tokens.length - prefixOf(task)) / 2);
      return from >= first ? tokens[from] : guess(...options.symbols);
    }
    case "memorization":
      return t - 1 >= first ? memorized(task).get(tokens[t - 1])! : guess(...options.values);
    case "copying": {
      const from = t - Math.floor((tokens.length - prefixOf(task) - 1) / 2);
      return from >= first ? tokens[from] : guess(...options.letters);
    }
    case "ngram-lookup": {
      const size = task.options.ngram as number;
      const key = tokens.slice(t - size + 1, t + 1).join();
      for (let i = t - 2 * size; i >= first; i--) {
        if (tokens.slice(i, i + size).join() === key) return tokens[i + size];
      }
      return guess(...options.letters);
    }
    case "phone-book": {
      const colon = tokens.lastIndexOf(task.options.colon as number, t);
      const name = tokens.slice(colon - 2, colon + 1).join();
      for (let i = colon - 3; i >= first; i--) {
        if (tokens.slice(i, i + 3).join() === name) return tokens[i + 3 + t - colon];
      }
      return guess(...options.digits);
    }
    case "parity":
    case "s5": {
      const identity = task.options.first as number;
      const moves = [...tokens.subarray(prefixOf(task), t + 1)].map((token) => token - identity);
      if (first > prefixOf(task)) {
        return guess(identity, identity + Math.round(1 / task.chance()!) - 1);
      }
      if (task.name === "parity") return identity + moves.filter((move) => move === 1).length % 2;
      const things = [0, 1, 2, 3, 4].map((thing) =>
        moves.reduce((place, move) => PERMUTATIONS[move][place], thing)
      );
      return identity + permutationNumber(things);
    }
    case "passkey": {
      const [low, high] = options.values;
      for (let i = t; i >= first; i--) if (tokens[i] >= low && tokens[i] <= high) return tokens[i];
      return guess(low, high);
    }
    default:
      throw new Error(
        `Cannot answer ${task.name}: say in tests/tasks/window_oracle.ts how the last tokens alone answer it`,
      );
  }
}

/** How many last tokens the oracle compares to find where a text repeats itself. */
export const COMPARED = 8;

/** What followed the last few tokens when they stood last, from a place on. */
function afterTheSame(tokens: Uint32Array, t: number, first: number): number | undefined {
  for (let i = t - 1; i - COMPARED + 1 >= first; i--) {
    let same = 0;
    while (same < COMPARED && tokens[i - same] === tokens[t - same]) same++;
    if (same === COMPARED) return tokens[i + 1];
  }
  return undefined;
}

/** −ln of the likelihood that the oracle gives a token of a text that it sees repeated. */
export const SEEN_NLL = 0.125;

/** What training would have taught: the values that training samples show. */
function memorized(task: Task): ReadonlyMap<number, number> {
  let values = MEMORIES.get(task);
  if (values === undefined) {
    values = new Map();
    for (let index = 0; index < 50; index++) {
      const { tokens, labels } = task.sample({ length: 64, seed: 0, index, split: "train" });
      for (let t = 1; t < 64; t++) if (labels[t] !== UNSCORED) values.set(tokens[t - 1], labels[t]);
    }
    MEMORIES.set(task, values);
  }
  return values;
}

const MEMORIES = new WeakMap<Task, Map<number, number>>();

/** The permutation of 0 to 4 of a number in lexicographic order, by its Lehmer code. */
export function nthPermutation(number: number): number[] {
  const left = [0, 1, 2, 3, 4];
  return [24, 6, 2, 1, 1].map((weight) => {
    const [thing] = left.splice(Math.floor(number / weight), 1);
    number %= weight;
    return thing;
  });
}

const PERMUTATIONS = Array.from({ length: 120 }, (_, number) => nthPermutation(number));

/** The number of a permutation of 0 to 4: of each place, how many smaller things come later. */
export function permutationNumber(permutation: readonly number[]): number {
  return [24, 6, 2, 1, 0].reduce(
    (sum, weight, i) =>
      sum + weight * permutation.slice(i + 1).filter((later) => later < permutation[i]).length,
    0,
  );
}

function prefixOf(task: Task): number {
  return task.options.taskToken === undefined ? 0 : 1;
}

function loadOf(sample: Sample): number {
  return scoredPositions(sample).length;
}

/** What becomes of a cell that an oracle is told to stumble at. */
export interface Stumbles {
  /** Give NaN at this length. */
  readonly nanAt?: number;
  /** Throw this at this length. */
  readonly throwAt?: { readonly length: number; readonly error: Error };
  /** Wait so long in each batch. */
  readonly milliseconds?: number;
  /** Hold the thread up meanwhile, as a GPU does that computes. */
  readonly blocks?: boolean;
  /** Called with each batch. */
  readonly onAnswer?: (samples: readonly Sample[]) => void;
}

/** A model that sees its last `window` tokens and makes the most of them. */
export function windowOracle(
  name: string,
  window: number,
  tasks: readonly SmallTaskName[],
  stumbles: Stumbles = {},
): Subject & AsyncDisposable {
  const made = new Map<string, Promise<Task>>();
  const task = (which: string, options: Readonly<Record<string, unknown>> = {}): Promise<Task> => {
    const key = JSON.stringify([which, options]);
    if (!made.has(key)) {
      made.set(
        key,
        createTask(which as SmallTaskName, {
          ...smallLayout(which as SmallTaskName, true),
          ...options,
        }),
      );
    }
    return made.get(key)!;
  };
  return {
    name,
    family: "oracle",
    parameters: 1000,
    trainLength: 64,
    tasks,
    window,
    fingerprint: String(window),
    task,
    stateBytes: (length) => 4 * Math.min(length, window),
    async answer(samples): Promise<Answers> {
      stumbles.onAnswer?.(samples);
      const { length } = samples[0].tokens;
      if (stumbles.milliseconds && stumbles.blocks) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stumbles.milliseconds);
      } else if (stumbles.milliseconds) {
        await new Promise((resolve) => setTimeout(resolve, stumbles.milliseconds));
      }
      if (stumbles.throwAt?.length === length) throw stumbles.throwAt.error;
      const correct: Uint8Array[] = [];
      const nll: Float32Array[] = [];
      for (const sample of samples) {
        const which = await task(taskOf(tasks, sample));
        const positions = scoredPositions(sample);
        const guesses = new Guesses(sample);
        const guess = (low: number, high: number): number => low + guesses.below(high - low + 1);
        const answers = which.metric === "perplexity"
          ? []
          : positions.map((t) => answerFromWindow(which, sample, t, window, guess));
        const right = Uint8Array.from(positions, (t, i) => Number(answers[i] === sample.labels[t]));
        correct.push(right);
        const nllOf = (t: number, i: number): number =>
          which.controls === undefined ? 1 + 1 / (1 + t) : right[i] ? SEEN_NLL : Math.log(256);
        nll.push(
          Float32Array.from(positions, (t, i) => stumbles.nanAt === length ? NaN : nllOf(t, i)),
        );
      }
      return {
        correct,
        nll,
        prefillMilliseconds: samples.length * length / 100,
        peakBytes: 4096 + samples.length * length * 4,
      };
    },
    stepMilliseconds: (length) => Promise.resolve(1 + Math.min(length, window) / 1000),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** In the mixture layout, the first token says which task it is; a text has no such token. */
function taskOf(tasks: readonly SmallTaskName[], sample: Sample): SmallTaskName {
  const names = ["mqar", "induction", "selective-copying", "passkey"] as const;
  const ofText = (TEXT_TASKS as readonly string[]).includes(tasks[0]) && tasks.length === 1;
  return ofText ? tasks[0] : names[sample.tokens[0] - 1];
}

/** A source of given oracles. */
export function oracles(
  subjects: readonly (Subject & AsyncDisposable)[],
  onOpen: (card: SubjectCard) => void = () => {},
): SubjectSource {
  return {
    adapter: () => Promise.resolve("no GPU"),
    find: (models) => {
      const names = models.map(nameOf);
      const chosen = names.length === 0
        ? subjects
        : names.map((name) => subjects.find((subject) => subject.name === name)!);
      const wrong = chosen.findIndex((subject) => subject === undefined);
      if (wrong >= 0) {
        return Promise.reject(
          new RangeError(
            didYouMean("model", names[wrong], subjects.map(({ name }) => name)),
          ),
        );
      }
      return Promise.resolve(chosen);
    },
    open: (card) => {
      onOpen(card);
      return Promise.resolve(subjects.find(({ name }) => name === card.name)!);
    },
  };
}
