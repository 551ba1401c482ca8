import { MeasuredInputs } from "../../kernels/common/measured.ts";
import {
  definedTunables,
  type Gpu,
  type NotedProblem,
  Tensor,
  timeWork,
  type TunedProblem,
} from "../../kernels/gpu/mod.ts";
import { MEASURED } from "../../kernels/measured.ts";
import { candidatesText, type TunedClass } from "./file.ts";

/** Problems of a class that are measured at most: the most frequent. */
const PROBLEMS = 2;
/** How often candidates take turns, and how long a turn is at least. */
const ROUNDS = 4;
const TURN_MILLISECONDS = 10;
/** Runs of a turn at most, where one is shorter than the clock can tell. */
const MOST_RUNS = 64;
/** A candidate that is so many times as slow at first is not measured on. */
const HOPELESS = 4;
/** What a candidate must take of the default's time to be better: less is noise. */
const BETTER = 0.97;
/** How far a candidate's output may be from the default's, as a relative RMS: the kernels' own bounds. */
const BOUND = 1e-3;

/** The noted problems of a class. */
export interface ProblemClass {
  readonly tunable: string;
  readonly class: string;
  /** The most frequent ones. */
  readonly problems: readonly NotedProblem[];
}

/**
 * Notes of several works as classes in which there is something to choose: each tunable in turn, and of
 * each what is asked for most first.
 */
export function classesOf(gpu: Gpu, notes: readonly NotedProblem[]): ProblemClass[] {
  const classes = new Map<string, Map<string, NotedProblem>>();
  for (const { tunable: name, problem, count } of notes) {
    const tunable = definedTunables().find((tunable) => tunable.name === name)!;
    if (tunable.fitting(gpu, problem).length === 1) continue;
    const of = tunable.classOf(problem);
    const key = JSON.stringify([name, of]);
    const problems = classes.get(key) ?? new Map<string, NotedProblem>();
    classes.set(key, problems);
    const text = JSON.stringify(problem);
    problems.set(text, {
      tunable: name,
      problem,
      count: count + (problems.get(text)?.count ?? 0),
    });
  }
  const weight = (problems: readonly NotedProblem[]): number =>
    problems.reduce((sum, { problem, count }) => sum + count * sizeOf(problem), 0);
  const found = [...classes].map(([key, problems]): ProblemClass => {
    const [tunable, of] = JSON.parse(key);
    const most = [...problems.values()].sort((a, b) => b.count - a.count).slice(0, PROBLEMS);
    return { tunable, class: of, problems: most };
  }).sort((a, b) => weight(b.problems) - weight(a.problems));
  const turns = new Map<string, number>();
  const turnOf = ({ tunable }: ProblemClass): number => {
    const turn = turns.get(tunable) ?? 0;
    turns.set(tunable, turn + 1);
    return turn;
  };
  return found.map((each) => ({ each, turn: turnOf(each) }))
    .sort((a, b) => a.turn - b.turn)
    .map(({ each }) => each);
}

/** About how much there is to do: the product of the extents. */
function sizeOf(problem: TunedProblem): number {
  return Object.values(problem).reduce<number>(
    (product, value) => typeof value === "number" ? product * Math.max(1, value) : product,
    1,
  );
}

/**
 * Measures the candidates of a class of problems in turns; one that is better must be so twice.
 *
 * @param deadline When to give up where not all of them were run, as `performance.now()` has it. @default never
 */
export async function measureClass(
  gpu: Gpu,
  { tunable: name, class: of, problems }: ProblemClass,
  deadline: number = Infinity,
): Promise<TunedClass | undefined> {
  const tunable = definedTunables().find((tunable) => tunable.name === name)!;
  const { prepare } = MEASURED.find(({ tunable }) => tunable === name)!;
  const refused: Record<string, string> = {};
  const times: Record<string, number>[] = [];
  const names = tunable.fitting(gpu, problems[0].problem);
  const [standard] = names;
  try {
    for (const { problem } of problems) {
      using inputs = new MeasuredInputs(gpu);
      const run = prepare(gpu, problem as never, inputs);
      const fitting = tunable.fitting(gpu, problem).filter((name) => names.includes(name));
      const force = (candidate: string): void => gpu.choices.force(name, candidate);
      const milliseconds = await firstTimes(gpu, run, fitting, { force, refused, deadline });
      if (milliseconds === undefined) return undefined;
      const left = Object.keys(milliseconds);
      if (left.length > 1) {
        Object.assign(milliseconds, await takeTurns(gpu, run, left, { force, deadline }));
        const best = fastest(milliseconds, standard);
        if (best !== standard) {
          // Of the default the better time counts, of the other the worse: it must be faster twice.
          const again = await takeTurns(gpu, run, [standard, best], { force, deadline });
          milliseconds[standard] = Math.min(milliseconds[standard], again[standard]);
          milliseconds[best] = Math.max(milliseconds[best], again[best]);
        }
      }
      times.push(milliseconds);
    }
  } finally {
    gpu.choices.force(name, undefined);
  }
  const sound = names.filter((name) =>
    !(name in refused) && times.every((time) => time[name] !== undefined)
  );
  const candidate = chosen(sound, times, problems.map(({ count }) => count), standard);
  return {
    tunable: name,
    class: of,
    candidate,
    standard,
    candidates: candidatesText(tunable.candidates(gpu)),
    problems: problems.map(({ problem }, i) => ({ problem, milliseconds: times[i] })),
    refused,
  };
}

/**
 * The candidate that takes the least time for all problems, none of which may take it longer than the
 * default; which wins ties.
 */
function chosen(
  names: readonly string[],
  times: readonly Readonly<Record<string, number>>[],
  counts: readonly number[],
  standard: string,
): string {
  const total = (name: string): number =>
    times.reduce((sum, time, i) => sum + counts[i] * time[name], 0);
  let best = standard;
  let least = BETTER * total(standard);
  for (const name of names) {
    if (times.some((time) => time[name] > time[standard]) || total(name) >= least) continue;
    best = name;
    least = total(name);
  }
  return best;
}

function fastest(times: Readonly<Record<string, number>>, standard: string): string {
  const [name, time] = Object.entries(times).reduce((a, b) => b[1] < a[1] ? b : a);
  return time < BETTER * times[standard] ? name : standard;
}

/** How candidates are run. */
interface Turns {
  /** Has the tunable take this candidate. */
  readonly force: (name: string) => void;
  /** When to end. */
  readonly deadline: number;
}

/**
 * Runs each candidate once, which compiles it; those that are hopeless, or wrong, are left out. Undefined
 * where the time is over before.
 */
async function firstTimes(
  gpu: Gpu,
  run: () => object,
  names: readonly string[],
  { force, refused, deadline }: Turns & { readonly refused: Record<string, string> },
): Promise<Record<string, number> | undefined> {
  const [standard] = names;
  const times: Record<string, number> = {};
  let expected: (Float32Array | undefined)[] = [];
  for (const name of names) {
    if (performance.now() > deadline) return undefined;
    force(name);
    try {
      const output = await outputsOf(gpu, run);
      if (name === standard) expected = output;
      else checkOutputs(output, expected);
      const time = await timeWork(gpu, () => free(run()));
      if (name === standard || time < HOPELESS * times[standard] + 1) times[name] = time;
    } catch (error) {
      if (name === standard) throw error;
      refused[name] = (error as Error).message.split("\n")[0];
    }
  }
  return times;
}

/** The least time of each candidate over several turns. */
async function takeTurns(
  gpu: Gpu,
  run: () => object,
  names: readonly string[],
  { force, deadline }: Turns,
): Promise<Record<string, number>> {
  let least = Infinity;
  for (const name of names) {
    force(name);
    least = Math.min(least, await timeWork(gpu, () => free(run())));
  }
  const runs = Math.max(1, Math.min(MOST_RUNS, Math.ceil(TURN_MILLISECONDS / least)));
  const best = Object.fromEntries(names.map((name) => [name, Infinity]));
  using stack = new DisposableStack();
  // Recorded, so that it is the GPU that is measured, and not the host.
  const recordings = names.map((name) => {
    force(name);
    return stack.use(gpu.record(() => {
      for (let i = 0; i < runs; i++) free(run());
    }));
  });
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0 && performance.now() > deadline) break;
    for (const [i, name] of names.entries()) {
      const time = await timeWork(gpu, () => recordings[i].replay()) / runs;
      best[name] = Math.min(best[name], time);
    }
  }
  return best;
}

async function outputsOf(gpu: Gpu, run: () => object): Promise<(Float32Array | undefined)[]> {
  const outputs = run();
  const tensors = Object.values(outputs).filter((value) => value instanceof Tensor) as Tensor[];
  try {
    return (await gpu.read(tensors)).map((values) => Float32Array.from(values));
  } finally {
    free(outputs);
  }
}

/** @throws {Error} where an output is not the default's, up to rounding. */
function checkOutputs(
  actual: readonly (Float32Array | undefined)[],
  expected: readonly (Float32Array | undefined)[],
): void {
  for (const [i, values] of actual.entries()) {
    let error = 0;
    let scale = 0;
    values!.forEach((value, at) => {
      error += (value - expected[i]![at]) ** 2;
      scale += expected[i]![at] ** 2;
    });
    const relative = Math.sqrt(error / (scale || 1));
    if (!(relative <= BOUND)) {
      throw new Error(`its output is off by ${relative.toPrecision(2)}, over ${BOUND}`);
    }
  }
}

function free(outputs: object): void {
  for (const value of Object.values(outputs)) {
    if (value instanceof Tensor) value[Symbol.dispose]();
  }
}
