import type { Adapter } from "./device.ts";

/** Values of a family's tunables: tile sizes, chunk sizes, the choice between algorithms. */
export type TunableValues = Readonly<Record<string, number | boolean | string>>;

/** What values are chosen for: extents, data types and options of an op, as plain data. */
export type TunedProblem = Readonly<Record<string, number | boolean | string>>;

/**
 * Which candidates were found to be the fastest: their names by tunable and by class of problems. What it
 * leaves out has the default.
 */
export type Tuning = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What values are chosen for: a {@linkcode Gpu}. */
export interface Chooser {
  /** The adapter. */
  readonly adapter: Adapter;
  /** Its device. */
  readonly device: GPUDevice;
  /** Bytes that a tensor may have in a binding. */
  readonly bindingLimit: number;
  /** What was found. */
  readonly choices: Choices;
}

/** How a tunable is declared: the family's table. */
export interface TunableTable<Problem extends TunedProblem, Values extends TunableValues> {
  /** Candidates of a software adapter by name; the first is the default. */
  readonly software: Readonly<Record<string, Values>>;
  /** Candidates of a GPU by name; the first is the default. */
  readonly gpu: Readonly<Record<string, Values>>;
  /** The default where it depends on the problem; undefined for the first. */
  readonly standard?: (problem: Problem, gpu: Chooser) => string | undefined;
  /** Problems of one class get the same candidate: its name. */
  readonly classOf: (problem: Problem) => string;
  /** Whether an adapter can do a problem with these values; left out, it always can. */
  readonly fits?: (values: Values, problem: Problem, gpu: Chooser) => boolean;
}

const DEFINED: Tunable[] = [];

/** Every tunable that is declared: what a tuner measures, and a test goes through. */
export function definedTunables(): readonly Tunable[] {
  return DEFINED;
}

/** Values that a family chooses by measurement, and by a default where nothing was measured. */
export class Tunable<
  Problem extends TunedProblem = TunedProblem,
  Values extends TunableValues = TunableValues,
> {
  /** `family/what`. */
  readonly name: string;
  readonly #table: TunableTable<Problem, Values>;

  /** Called by {@linkcode tunable}. */
  constructor(name: string, table: TunableTable<Problem, Values>) {
    this.name = name;
    this.#table = table;
  }

  /** The candidates of an adapter by name. */
  candidates({ adapter }: Pick<Chooser, "adapter">): Readonly<Record<string, Values>> {
    return adapter.software ? this.#table.software : this.#table.gpu;
  }

  /** The name of the default. */
  standard(gpu: Chooser, problem: Problem): string {
    return this.#table.standard?.(problem, gpu) ?? Object.keys(this.candidates(gpu))[0];
  }

  /** The class of a problem. */
  classOf(problem: Problem): string {
    return this.#table.classOf(problem);
  }

  /** The names of the candidates that an adapter can do a problem with, the default first. */
  fitting(gpu: Chooser, problem: Problem): string[] {
    const standard = this.standard(gpu, problem);
    const others = Object.entries(this.candidates(gpu))
      .filter(([name, values]) => name !== standard && this.#fits(values, problem, gpu))
      .map(([name]) => name);
    return [standard, ...others];
  }

  /** The values for a problem: those that were found to be the fastest, else the default's. */
  choose(gpu: Chooser, problem: Problem): Values {
    const { choices } = gpu;
    if (choices.isNoting) choices.note(this.name, problem);
    const table = this.candidates(gpu);
    if (!choices.isEmpty) {
      const chosen = table[choices.nameOf(this.name, () => this.classOf(problem)) ?? ""];
      if (chosen !== undefined && this.#fits(chosen, problem, gpu)) return chosen;
    }
    return table[this.standard(gpu, problem)];
  }

  #fits(values: Values, problem: Problem, gpu: Chooser): boolean {
    return this.#table.fits?.(values, problem, gpu) ?? true;
  }
}

/**
 * Declares values that a family chooses by measurement.
 *
 * @param name `family/what`.
 */
export function tunable<Problem extends TunedProblem, Values extends TunableValues>(
  name: string,
  table: TunableTable<Problem, Values>,
): Tunable<Problem, Values> {
  const made = new Tunable(name, table);
  DEFINED.push(made as unknown as Tunable);
  return made;
}

/** A problem that a choice was made for, and how often. */
export interface NotedProblem {
  /** The tunable's name. */
  readonly tunable: string;
  /** What the choice was made for. */
  readonly problem: TunedProblem;
  /** How often it was made. */
  count: number;
}

/** What a GPU's kernels are chosen by. */
export class Choices {
  /** What was found to be the fastest. */
  readonly tuning: Tuning;
  readonly #forced = new Map<string, string>();
  #noted: Map<string, NotedProblem> | undefined;

  /** By a tuning; without one every choice is the default. */
  constructor(tuning: Tuning = {}) {
    this.tuning = tuning;
  }

  /** Whether every choice is the default. */
  get isEmpty(): boolean {
    return this.#forced.size === 0 && Object.keys(this.tuning).length === 0;
  }

  /** Whether problems are noted. */
  get isNoting(): boolean {
    return this.#noted !== undefined;
  }

  /** The name of the candidate of a tunable for a class of problems, where there is one. */
  nameOf(tunable: string, classOf: () => string): string | undefined {
    return this.#forced.get(tunable) ?? this.tuning[tunable]?.[classOf()];
  }

  /** Has a tunable take this candidate for all that it can do; undefined ends that. */
  force(tunable: string, candidate: string | undefined): void {
    if (candidate === undefined) this.#forced.delete(tunable);
    else this.#forced.set(tunable, candidate);
  }

  /** Notes a choice. */
  note(tunable: string, problem: TunedProblem): void {
    const key = `${tunable} ${JSON.stringify(problem)}`;
    const noted = this.#noted?.get(key);
    if (noted) noted.count++;
    else this.#noted?.set(key, { tunable, problem, count: 1 });
  }

  /** The problems that choices are made for while `work` runs. */
  async noteWhile(work: () => void | Promise<void>): Promise<readonly NotedProblem[]> {
    const noted = this.#noted = new Map<string, NotedProblem>();
    try {
      await work();
    } finally {
      this.#noted = undefined;
    }
    return [...noted.values()];
  }
}

/**
 * Checks that a tuning names tunables and candidates that there are.
 *
 * @throws {RangeError} where it does not.
 */
export function checkTuning(gpu: Pick<Chooser, "adapter">, tuning: Tuning): void {
  for (const [name, classes] of Object.entries(tuning)) {
    const tunable = DEFINED.find((tunable) => tunable.name === name);
    if (tunable === undefined) {
      throw new RangeError(
        `Cannot open a GPU as its tuning names ${name}, which is not a tunable: the tunables are ${
          DEFINED.map(({ name }) => name).join(", ")
        }`,
      );
    }
    const candidates = tunable.candidates(gpu);
    for (const [of, candidate] of Object.entries(classes)) {
      if (Object.hasOwn(candidates, candidate)) continue;
      throw new RangeError(
        `Cannot open a GPU as its tuning gives ${name} "${candidate}" for ${of}: the candidates of ${gpu.adapter.name} are ${
          Object.keys(candidates).join(", ")
        }`,
      );
    }
  }
}

/** The power of two at or above a number: problems whose extents have the same are alike. */
export function sizeClass(extent: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, extent)));
}
