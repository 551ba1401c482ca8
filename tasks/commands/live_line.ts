import { visible } from "../names.ts";
import type { SweepProgress } from "../sweep/run.ts";

/** How often the live line is drawn while a cell runs. */
export const TURN_MILLISECONDS = 250;
/** What turns in it then. */
const TURNS = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"] as const;

/** How wide the terminal is; some say 0. */
export function terminalColumns(): number {
  return Deno.consoleSize().columns || 80;
}

/** What the live line says. */
export type LiveProgress = Pick<
  SweepProgress,
  "cell" | "done" | "total" | "modelsLeft" | "millisecondsLeft"
>;

/** What turns it on where it stands: a screen that is being resized may have broken it into several. */
export function turning(line: string): string {
  const at = TURNS.map((turn) => line.indexOf(turn)).find((at) => at > 0);
  if (at === undefined) return "";
  const behind = line.length - at - 1; // the cursor stays at the end, wherever that comes to lie
  return `\r\x1b[${at}C${line[at]}${behind > 0 ? `\x1b[${behind}C` : ""}`;
}

/** What takes a line of so many characters away, of which a narrower screen has made several. */
export function erasing(drawn: number, columns: number): string {
  const above = Math.max(0, Math.ceil(drawn / columns) - 1);
  // Line by line: what is erased as a whole screen, tmux keeps in its history.
  return `\r\x1b[K${"\x1b[A\x1b[K".repeat(above)}`;
}

/** The line that says where a sweep stands, on a screen so wide; `turn` moves on each time it is drawn. */
export function liveLine(progress: LiveProgress, columns: number, turn: number): string {
  const { cell, done, total, modelsLeft, millisecondsLeft } = progress;
  const right = ` ${TURNS[turn % TURNS.length]} ${done}/${total} · ${
    visible(cell.model)
  } · ${cell.task} · ${cell.length} tokens · ${modelsAndTime(modelsLeft, millisecondsLeft)}`;
  return bar(done, total, right, columns);
}

/** A bar with something behind it, cut to the width. */
export function bar(done: number, total: number, right: string, columns: number): string {
  const width = Math.max(0, Math.min(30, columns - right.length));
  const filled = Math.round(width * Math.min(1, done / Math.max(1, total)));
  return ("█".repeat(filled) + "░".repeat(width - filled) + right).slice(0, columns);
}

/** How many models are left, and how long they take. */
export function modelsAndTime(models: number, milliseconds: number | undefined): string {
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
