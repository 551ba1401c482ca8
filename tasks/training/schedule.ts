import type { Recipe } from "./recipe.ts";

/** What one step of training showed. */
export interface StepResult {
  /** The step, from 0. */
  readonly step: number;
  /** Mean loss in nats over the tasks. */
  readonly loss: number;
  /** Accuracy of each task in the recipe's order; NaN for one that was not in the batch. */
  readonly accuracies: readonly number[];
}

/** Steps over which a task's accuracy is averaged before it counts. */
const MEASURED_STEPS = 20;
const LEAST_COOLDOWN = 100;

/**
 * The learning rate of each step: linear warm-up, constant, then linear cooldown, which begins when
 * the worst task has reached the recipe's target, or in time to end with the recipe's last step. A
 * constant schedule has no cooldown and ends with the recipe's last step alone.
 */
export class Schedule {
  readonly #recipe: Recipe;
  readonly #recent: (readonly number[])[];
  /** The step at which the cooldown begins, once that is known. */
  cooldownStart: number | undefined;

  /** A schedule at the beginning, or as {@linkcode Schedule.snapshot} left it. */
  constructor(recipe: Recipe, snapshot?: ReturnType<Schedule["snapshot"]>) {
    this.#recipe = recipe;
    this.#recent = snapshot?.recent.map((accuracies) => accuracies.map((a) => a ?? NaN)) ?? [];
    this.cooldownStart = snapshot?.cooldownStart;
  }

  /** What must be stored to continue later. */
  snapshot(): { recent: (readonly (number | null)[])[]; cooldownStart: number | undefined } {
    return { recent: [...this.#recent], cooldownStart: this.cooldownStart };
  }

  /** The step behind the last. */
  get end(): number {
    const { steps } = this.#recipe;
    if (this.cooldownStart === undefined) return steps;
    return Math.min(steps, this.cooldownStart + cooldownSteps(this.cooldownStart));
  }

  /** Whether no result changes it any more. */
  get isFixed(): boolean {
    return this.#endsByItself || this.cooldownStart !== undefined;
  }

  get #endsByItself(): boolean {
    return this.#recipe.schedule === "constant" || this.#recipe.targetAccuracy >= 1;
  }

  /** The learning rate of a step. */
  rate(step: number): number {
    const { learningRate, warmupSteps, steps } = this.#recipe;
    const warm = Math.min(1, (step + 1) / warmupSteps);
    if (this.#recipe.schedule === "constant") return learningRate * warm;
    const start = this.cooldownStart ?? Math.floor(steps * 0.75);
    const length = this.end - start;
    const cool = step < start ? 1 : Math.max(0, (start + length - step) / length);
    return learningRate * Math.min(warm, cool);
  }

  /** Mean accuracy of each task over the last measured steps. */
  accuracies(): number[] {
    return this.#recipe.tasks.map((_, index) => {
      const known = this.#recent.map((accuracies) => accuracies[index]).filter((a) => !isNaN(a));
      return known.reduce((sum, accuracy) => sum + accuracy, 0) / known.length;
    });
  }

  /** Takes a step's result in, in order. */
  add({ step, accuracies }: StepResult): void {
    this.#recent.push(accuracies);
    if (this.#recent.length > MEASURED_STEPS) this.#recent.shift();
    if (this.#endsByItself) return;
    const learned = this.#recent.length === MEASURED_STEPS &&
      step >= this.#recipe.firstTaskSteps + MEASURED_STEPS &&
      Math.min(...this.accuracies()) >= this.#recipe.targetAccuracy;
    if (learned && this.cooldownStart === undefined) {
      // Results come in batches: the cooldown begins with the next whole batch, so that a resumed
      // run, which measures at the same steps, begins it at the same one.
      this.cooldownStart = step + 1;
    }
  }
}

function cooldownSteps(start: number): number {
  return Math.max(LEAST_COOLDOWN, Math.ceil(start / 4));
}
