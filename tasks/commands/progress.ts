import type { DownloadProgress } from "../../models/mod.ts";
import { visible, visibleText } from "../names.ts";
import { pool } from "../report/curves.ts";
import type { Cell } from "../sweep/cells.ts";
import type { Row } from "../sweep/rows.ts";
import type { SweepProgress } from "../sweep/run.ts";
import { isMainMetric } from "../task.ts";
import type { Recipe } from "../training/recipe.ts";
import type { TrainingProgress } from "../training/train.ts";
import {
  bar,
  duration,
  erasing,
  liveLine,
  modelsAndTime,
  terminalColumns,
  TURN_MILLISECONDS,
} from "./live_line.ts";
import { LiveThread, restLive } from "./live_thread.ts";

export { duration } from "./live_line.ts";

/** Where progress is shown: a terminal, or a log. */
export interface Screen {
  /** Whether a line can be written over, and if so how wide the screen is. */
  readonly columns?: number;
  /** Writes text. */
  write(text: string): void;
  /** Whether another thread of the process can write there too. @default false */
  readonly threads?: boolean;
}

/** The process's standard error. */
export function standardError(): Screen {
  const screen = screenOf(Deno.stderr);
  return {
    ...screen,
    threads: screen.columns !== undefined,
    get columns() {
      return screen.columns;
    },
  };
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
      return isTerminal ? terminalColumns() : undefined;
    },
    write: (text) => {
      stream.writeSync(encoder.encode(text));
    },
  };
}

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
  #thread: LiveThread | undefined;

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
    if (this.#screen.columns === undefined) return;
    if (this.#screen.threads) (this.#thread ??= new LiveThread()).show(progress);
    else {
      this.#timer ??= setInterval(() => {
        this.#turn++;
        this.#draw();
      }, TURN_MILLISECONDS);
    }
  }

  /** Takes the live line away. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#thread !== undefined) {
      this.#drawn = this.#thread.close();
      this.#thread = undefined;
    }
    if (this.#group) this.#closeGroup();
    this.#clear();
  }

  #draw(): void {
    const { columns } = this.#screen;
    if (columns === undefined || this.#last === undefined) return;
    const line = liveLine(this.#last, columns - 1, this.#turn);
    this.#replace(columns, line, line.length);
  }

  #clear(): void {
    const { columns } = this.#screen;
    if (columns !== undefined) this.#replace(columns, "", 0);
  }

  #writeLine(line: string): void {
    const { columns } = this.#screen;
    if (columns === undefined) this.#screen.write(`${line}\n`);
    else this.#replace(columns, `${line}\n`, 0);
  }

  /** Writes something in the place of the live line. */
  #replace(columns: number, text: string, drawn: number): void {
    const write = (before: number): number => {
      this.#screen.write(`${erasing(before, columns)}${text}`);
      return drawn;
    };
    if (this.#thread === undefined) this.#drawn = write(this.#drawn);
    else this.#thread.exclusively(write);
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
  #drawn = 0;

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
    const line = bar(received, size ?? received, right, columns - 1);
    restLive();
    this.#screen.write(`${erasing(this.#drawn, columns)}${line}${isThere ? "\n" : ""}`);
    this.#drawn = isThere ? 0 : line.length;
  }
}

/** A live line on a terminal; in a log, a line every few seconds. */
export class TrainingView {
  readonly #screen: Screen;
  #shown = -Infinity;
  #drawn = 0;

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
    if (columns === undefined) return this.#screen.write(`${text}\n`);
    const line = text.slice(0, columns - 1);
    restLive();
    this.#screen.write(`${erasing(this.#drawn, columns)}${line}`);
    this.#drawn = line.length;
  }

  /** Takes the live line away. */
  close(): void {
    const { columns } = this.#screen;
    if (columns !== undefined) this.#screen.write(erasing(this.#drawn, columns));
    this.#drawn = 0;
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
