import type { DownloadProgress } from "../../models/mod.ts";
import { visible, visibleText } from "../names.ts";
import { pool } from "../report/curves.ts";
import type { Cell } from "../sweep/cells.ts";
import type { Row } from "../sweep/rows.ts";
import type { SweepProgress } from "../sweep/run.ts";
import { isMainMetric } from "../task.ts";
import type { Recipe } from "../training/recipe.ts";
import type { TrainingProgress } from "../training/train.ts";

/** Where progress is shown: a terminal, or a log. */
export interface Screen {
  /** Whether a line can be written over, and if so how wide the screen is. */
  readonly columns?: number;
  /** Writes text. */
  write(text: string): void;
}

/** The process's standard error. */
export function standardError(): Screen {
  return screenOf(Deno.stderr);
}

/** The process's standard output. */
export function standardOutput(): Screen {
  return screenOf(Deno.stdout);
}

function screenOf(stream: typeof Deno.stdout | typeof Deno.stderr): Screen {
  const encoder = new TextEncoder();
  const isTerminal = stream.isTerminal();
  return {
    get columns(): number | undefined {
      return isTerminal ? Deno.consoleSize().columns : undefined;
    },
    write: (text) => {
      stream.writeSync(encoder.encode(text));
    },
  };
}

/** How often the live line is drawn while a cell runs, and what turns in it then. */
const TURN_MILLISECONDS = 250;
const TURNS = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"] as const;

/**
 * A line for each length that is done in a round; on a terminal they scroll by above a live line, in
 * which something moves while a cell runs.
 */
export class ProgressView {
  readonly #screen: Screen;
  #group: { cell: Cell; rows: Row[] } | undefined;
  #last: SweepProgress | undefined;
  #drawn = 0;
  #turn = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** Shows progress on a screen. */
  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Shows where the sweep stands. */
  show(progress: SweepProgress): void {
    const { cell, rows, failed } = progress;
    if (this.#group && groupOf(this.#group.cell) !== groupOf(cell)) this.#closeGroup();
    this.#last = progress;
    if (rows) {
      this.#group ??= { cell, rows: [] };
      this.#group.rows.push(...rows);
    }
    if (failed !== undefined) {
      const what = `${cell.model} ${cell.task} ${cell.length}`;
      this.#writeLine(`failed: ${visible(what)}: ${visibleText(failed)}`);
    }
    this.#draw();
    if (this.#screen.columns !== undefined && this.#timer === undefined) {
      this.#timer = setInterval(() => {
        this.#turn++;
        this.#draw();
      }, TURN_MILLISECONDS);
    }
  }

  /** Takes the live line away. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#group) this.#closeGroup();
    this.#clear();
  }

  #draw(): void {
    const { columns } = this.#screen;
    if (columns === undefined || this.#last === undefined) return;
    const line = liveLine(this.#last, columns - 1, TURNS[this.#turn % TURNS.length]);
    this.#screen.write(`${this.#erasing(columns)}${line}`);
    this.#drawn = line.length;
  }

  #clear(): void {
    const { columns } = this.#screen;
    if (columns === undefined) return;
    this.#screen.write(this.#erasing(columns));
    this.#drawn = 0;
  }

  /** What takes the live line away, of which a narrower screen has made several. */
  #erasing(columns: number): string {
    const above = Math.ceil(this.#drawn / columns) - 1;
    return above > 0 ? `\x1b[${above}A\r\x1b[J` : "\r\x1b[K";
  }

  #writeLine(line: string): void {
    this.#clear();
    this.#screen.write(`${line}\n`);
  }

  #closeGroup(): void {
    const { cell, rows } = this.#group!;
    this.#group = undefined;
    if (this.#last === undefined) return;
    const main = rows.filter(({ metric }) => isMainMetric(metric));
    if (main.length === 0) return;
    const { value, low, high } = pool(main);
    const interval = Number.isNaN(low) ? "" : ` [${low.toPrecision(3)}, ${high.toPrecision(3)}]`;
    const { done, total, modelsLeft, millisecondsLeft } = this.#last;
    const result = `[${done}/${total}] ${visible(cell.model)} ${cell.task} ${cell.length}: ${
      main[0].metric
    } ${value.toPrecision(3)}${interval}`;
    // The live line says what is left.
    this.#writeLine(
      this.#screen.columns === undefined
        ? `${result}; ${modelsAndTime(modelsLeft, millisecondsLeft)}`
        : result,
    );
  }
}

/** A live line on a terminal; in a log, a line for each file that is there. */
export class DownloadView {
  readonly #screen: Screen;

  /** Shows progress on a screen. */
  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Shows how far a file is. */
  show({ file: name, received, size }: DownloadProgress): void {
    const { columns } = this.#screen;
    const file = visible(name);
    const isThere = size !== undefined && received >= size;
    const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
    if (columns === undefined) {
      if (isThere) this.#screen.write(`downloaded ${file}: ${megabytes(size)}\n`);
      return;
    }
    const right = ` ${megabytes(received)}${
      size === undefined ? "" : ` of ${megabytes(size)}`
    } · ${file}`;
    this.#screen.write(`\r\x1b[K${bar(received, size ?? received, right, columns - 1)}`);
    if (isThere) this.#screen.write("\n");
  }
}

/** A live line on a terminal; in a log, a line every few seconds. */
export class TrainingView {
  readonly #screen: Screen;
  #shown = -Infinity;

  /** Shows progress on a screen. */
  constructor(screen: Screen) {
    this.#screen = screen;
  }

  /** Shows how far a model's training is. */
  show(recipe: Recipe, progress: TrainingProgress): void {
    const { columns } = this.#screen;
    const now = performance.now();
    if (now - this.#shown < (columns === undefined ? 10_000 : 200)) return;
    this.#shown = now;
    const text = `${visible(recipe.name)}: ${describeTraining(recipe, progress)}`;
    this.#screen.write(
      columns === undefined ? `${text}\n` : `\r\x1b[K${text.slice(0, columns - 1)}`,
    );
  }

  /** Takes the live line away. */
  close(): void {
    if (this.#screen.columns !== undefined) this.#screen.write("\r\x1b[K");
  }
}

/** How far a training is, in words. */
export function describeTraining(recipe: Recipe, progress: TrainingProgress): string {
  const { step, end, loss, accuracies, tokensPerSecond, seconds } = progress;
  const tasks = recipe.tasks.map(({ name }, index) =>
    `${name} ${isNaN(accuracies[index]) ? "–" : accuracies[index].toFixed(3)}`
  );
  return `step ${step}/${end}, loss ${loss.toFixed(4)}, ${tasks.join(", ")}, ${
    Math.round(tokensPerSecond)
  } tokens/s, ${duration(1000 * seconds)}`;
}

function groupOf({ model, task, length }: Cell): string {
  return JSON.stringify([model, task, length]);
}

function liveLine(progress: SweepProgress, columns: number, turn: string): string {
  const { cell, done, total, modelsLeft, millisecondsLeft } = progress;
  const right = ` ${turn} ${done}/${total} · ${
    visible(cell.model)
  } · ${cell.task} · ${cell.length} tokens · ${modelsAndTime(modelsLeft, millisecondsLeft)}`;
  return bar(done, total, right, columns);
}

function bar(done: number, total: number, right: string, columns: number): string {
  const width = Math.max(0, Math.min(30, columns - right.length));
  const filled = Math.round(width * Math.min(1, done / Math.max(1, total)));
  return ("█".repeat(filled) + "░".repeat(width - filled) + right).slice(0, columns);
}

function modelsAndTime(models: number, milliseconds: number | undefined): string {
  const left = `${models} ${models === 1 ? "model" : "models"} left`;
  return milliseconds === undefined ? left : `${left}, ${duration(milliseconds)} to go`;
}

/** Milliseconds as minutes and seconds, or hours and minutes. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const two = (count: number): string => String(count).padStart(2, "0");
  return seconds < 3600
    ? `${Math.floor(seconds / 60)}:${two(seconds % 60)} min`
    : `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)} h`;
}
