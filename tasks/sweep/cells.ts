import { formatOf } from "../generators/ruler/names.ts";
import type { SubjectCard } from "../subject.ts";
import { nameOf } from "../subjects/description.ts";
import { checkLength, type Task } from "../task.ts";
import { isTemplateFile } from "../templates.ts";
import { gridOf, type Length, type SweepConfiguration, tokensOf } from "./configuration.ts";
import { tunedModels, TUNING_SEED } from "./trainings.ts";

/** One point of a sweep's grid. Its coordinates are all that determines its result. */
export interface Cell {
  /** The model's name. */
  readonly model: string;
  /** The task's name. */
  readonly task: string;
  /** The prompt template, in tasks in words. */
  readonly template?: string;
  /** Tokens in a sample. */
  readonly length: number;
  /** Where the needle is, where it is fixed. */
  readonly depth?: number;
  /** How much is to be remembered, in tasks that have a load. */
  readonly load?: number;
  /** Seed of the samples. */
  readonly seed: number;
}

/** The cells of one model, and the tasks they ask. */
export interface ModelCells {
  /** The model. */
  readonly card: SubjectCard;
  /** The tasks by {@linkcode taskKey}. */
  readonly tasks: ReadonlyMap<string, Task>;
  /** In the order in which they are run: the short ones first. */
  readonly cells: readonly Cell[];
}

/** A cell's task, in the words in which it is asked, as text. */
export function taskKey({ task, template }: Pick<Cell, "task" | "template">): string {
  return template === undefined ? task : `${task} (${template})`;
}

/** A cell's coordinates as text, for the journal. */
export function cellKey(cell: Cell): string {
  const { model, length, depth, load, seed } = cell;
  return JSON.stringify([model, taskKey(cell), length, depth ?? null, load ?? null, seed]);
}

/** A cell in words. */
export function describeCell(cell: Cell): string {
  const { model, length, depth, load, seed } = cell;
  return [
    model,
    taskKey(cell),
    `${length} tokens`,
    ...(depth === undefined ? [] : [`depth ${depth}`]),
    ...(load === undefined ? [] : [`load ${load}`]),
    `seed ${seed}`,
  ].join(", ");
}

/** Called with a model that a sweep continues without, and why. */
export type OnLeftOut = (name: string, reason: string) => void;

/**
 * The grid, model by model.
 *
 * @param onLeftOut Called with each model that is named and has no cell.
 * @throws {RangeError} where a task is known to no model, no model can be asked anything, or a length
 * does not fit a task.
 */
export async function enumerateCells(
  configuration: SweepConfiguration,
  cards: readonly SubjectCard[],
  onLeftOut: OnLeftOut = () => {},
): Promise<readonly ModelCells[]> {
  checkTasks(configuration, cards);
  const grid = await Promise.all(cards.map((card) => cellsOf(configuration, card)));
  const { templates = [] } = configuration;
  const other = templates.find((template) => template !== "base");
  const inWords = grid.some(({ tasks }) =>
    [...tasks.values()].some(({ template }) => template !== undefined)
  );
  if (other !== undefined && !inWords) {
    throw new RangeError(
      `Cannot ask in the template ${other} as none of the tasks is in words: leave the template out, or name such tasks`,
    );
  }
  const left = grid.filter(({ cells }) => cells.length === 0);
  const reasons = left.map((model) => `${model.card.name}: ${whyLeftOut(configuration, model)}`);
  if (left.length === grid.length && grid.length > 0) {
    throw new RangeError(`Cannot ask ${reasons.join("; ")}`);
  }
  const named = new Set(configuration.models.map(nameOf));
  for (const model of left) {
    if (named.has(model.card.name)) onLeftOut(model.card.name, whyLeftOut(configuration, model));
  }
  return grid.filter(({ cells }) => cells.length > 0);
}

/** @throws {RangeError} for a task that no model can be asked. */
function checkTasks(configuration: SweepConfiguration, cards: readonly SubjectCard[]): void {
  const { tasks, unlearned = false, taskOptions = {} } = configuration;
  if (unlearned && !tasks.some((name) => Object.hasOwn(taskOptions, name))) {
    throw new RangeError(
      'Cannot ask what models were not trained on ("unlearned") as no task of "tasks" has "taskOptions", which say in which layout',
    );
  }
  const known = [...new Set(cards.flatMap((card) => tasksOf(card, configuration)))];
  const missing = tasks.find((name) => !known.includes(name));
  if (missing === undefined) return;
  const mute = cards.flatMap(({ name, cannotBeAsked }) =>
    cannotBeAsked === undefined ? [] : [`${name}: ${cannotBeAsked}`]
  );
  if (known.length === 0 && mute.length > 0) throw new RangeError(`Cannot ask ${mute.join("; ")}`);
  throw new RangeError(
    [
      `Cannot ask ${missing} as no chosen model can answer it: those they know are ${shown(known)}`,
      ...mute,
    ].join("; "),
  );
}

/** Why a model has no cell. */
function whyLeftOut(
  { longest = {} }: SweepConfiguration,
  { card, tasks }: ModelCells,
): string {
  if (card.cannotBeAsked !== undefined) return card.cannotBeAsked;
  if (tasks.size > 0) {
    return `all lengths are greater than ${
      longest[card.family]
    }, which "longest" allows ${card.family}`;
  }
  return `it can be asked none of the tasks: it knows ${shown(tasksOf(card))}`;
}

/** Tasks in words, RULER's further needles by their pattern. */
function shown(tasks: readonly string[]): string {
  const named = tasks.filter((name) => formatOf(name) === undefined);
  const others = tasks.length > named.length ? " and niah_<haystack>_<key>_<value>" : "";
  return named.join(", ") + others;
}

/**
 * A length in tokens of a model.
 *
 * @throws {Error} for a multiple of its training length, if that is not known.
 */
export function modelLength(
  { name, trainLength }: Pick<SubjectCard, "name" | "trainLength">,
  length: Length,
): number {
  if (typeof length === "number") return length;
  if (trainLength !== undefined) return tokensOf(length, trainLength);
  throw new Error(
    `Cannot ask ${name} at ${length} its training length as its files do not say what that is: give it with --train-length, or give --lengths in tokens`,
  );
}

/**
 * Which texts the cells of a grid are made from, one per line: "text: all of book.txt"; with the models'
 * names where they are asked different parts, as one that was trained on a text is.
 */
export function textsOf(grid: readonly ModelCells[]): string[] {
  const sources = grid.flatMap(({ card, tasks, cells }) =>
    [...tasks.values()]
      .filter(({ name }) => cells.some(({ task }) => task === name))
      .flatMap(({ name, source }) =>
        source === undefined ? [] : [{ model: card.name, name, source }]
      )
  );
  return [...Map.groupBy(sources, ({ name }) => name)].flatMap(([name, ofTask]) => {
    const bySource = [...Map.groupBy(ofTask, ({ source }) => source)];
    return bySource.map(([source, asked]) => {
      const models = bySource.length === 1
        ? ""
        : ` for ${[...new Set(asked.map(({ model }) => model))].join(", ")}`;
      return `${name}: ${source}${models}`;
    });
  });
}

/** The names of all tasks that a model can be asked. */
function tasksOf(
  { tasks, otherTasks = [], training }: SubjectCard,
  { unlearned = false, taskOptions = {} }: Partial<SweepConfiguration> = {},
): readonly string[] {
  const known = [...tasks, ...otherTasks];
  const others = unlearned && training !== undefined ? Object.keys(taskOptions) : [];
  return [...known, ...others.filter((name) => !known.includes(name))];
}

async function cellsOf(
  configuration: SweepConfiguration,
  card: SubjectCard,
): Promise<ModelCells> {
  const chosen = configuration.tasks.length === 0
    ? card.tasks
    : tasksOf(card, configuration).filter((name) => configuration.tasks.includes(name));
  const tasks = new Map<string, Task>();
  for (const name of chosen) {
    for (const task of await wordings(configuration, card, name)) {
      const key = taskKey({ task: name, template: task.template });
      if (tasks.has(key) && configuration.templates?.some(isTemplateFile)) {
        throw new RangeError(
          `Cannot ask ${name} in two templates that are called ${task.template}: rename a file`,
        );
      }
      tasks.set(key, task);
    }
  }
  const asked = configuration.models.find((asked) => nameOf(asked) === card.name);
  const own = typeof asked === "object" && asked.lengths ? { lengths: asked.lengths } : {};
  const isTuned = tunedModels(configuration.trainings ?? []).has(card.name);
  const longest = configuration.longest?.[card.family] ?? Infinity;
  const cells = [...tasks.values()]
    .flatMap((task) => {
      const grid = { ...gridOf(configuration, task.name), ...own };
      const cells = cellsOfTask(grid, card, task);
      return isTuned ? [...tuningCells(cells, card.trainLength ?? 0), ...cells] : cells;
    })
    .filter(({ length }) => length <= longest);
  // Sorting is stable: the cells of one length stay in the order of tasks, loads, depths and seeds.
  cells.sort((a, b) => a.length - b.length);
  return { card, tasks, cells };
}

function cellsOfTask(
  configuration: SweepConfiguration,
  card: SubjectCard,
  task: Task,
): Cell[] {
  const { depths, seeds } = configuration;
  const cellDepths = task.depths && depths.length > 0 ? depths : [undefined];
  const cells: Cell[] = [];
  for (const { length, load } of loadedLengths(configuration, task, card)) {
    checkLength(task, length, load);
    for (const depth of cellDepths) {
      for (const seed of seeds) {
        cells.push({
          model: card.name,
          task: task.name,
          ...(task.template === undefined ? {} : { template: task.template }),
          length,
          ...(depth === undefined ? {} : { depth }),
          ...(load === undefined ? {} : { load }),
          seed,
        });
      }
    }
  }
  return cells;
}

/** The cells by which a model's learning rate is chosen: up to its training length, of other samples. */
function tuningCells(cells: readonly Cell[], trainLength: number): Cell[] {
  const shortest = Math.min(...cells.map(({ length }) => length));
  const [first] = cells;
  return cells
    .filter(({ length, seed }) => seed === first.seed && length <= Math.max(trainLength, shortest))
    .map((cell) => ({ ...cell, seed: TUNING_SEED }));
}

/** The lengths of a task's cells, each with its load, no two alike. */
function loadedLengths(
  { lengths, loads, points = [] }: SweepConfiguration,
  task: Task,
  card: SubjectCard,
): { length: number; load: number | undefined }[] {
  const ofTask = task.loads ? loads.length > 0 ? loads : [task.loads.default] : [undefined];
  const asked: readonly { length: Length; load: number | undefined }[] =
    task.loads && points.length > 0
      ? points
      : lengths.flatMap((length) => ofTask.map((load) => ({ length, load })));
  const found = new Map<string, { length: number; load: number | undefined }>();
  for (const { length, load } of asked) {
    const tokens = modelLength(card, length);
    found.set(`${tokens} ${load}`, { length: tokens, load });
  }
  return [...found.values()];
}

/** A task in each of the sweep's templates; once, where it is not in words. */
async function wordings(
  { templates = ["base"], taskOptions = {} }: SweepConfiguration,
  card: SubjectCard,
  name: string,
): Promise<Task[]> {
  const tasks: Task[] = [];
  for (const template of card.template === undefined ? templates : [card.template]) {
    const task = await card.task(name, taskOptions[name], template);
    tasks.push(task);
    if (task.template === undefined) break;
  }
  return tasks;
}
