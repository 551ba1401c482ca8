import {
  erasing,
  liveLine,
  type LiveProgress,
  terminalColumns,
  TURN_MILLISECONDS,
  turning,
} from "./live_line.ts";
import { DRAWN, exclusively, type LiveMessage, RESTS } from "./live_thread.ts";

let shared: Int32Array<SharedArrayBuffer> | undefined;
let progress: LiveProgress | undefined;
let turn = 0;
let width: number | undefined;
const encoder = new TextEncoder();

addEventListener("message", ({ data }: MessageEvent<LiveMessage>) => {
  if ("shared" in data) shared = data.shared;
  else progress = data.progress;
});

setInterval(() => {
  if (shared === undefined || progress === undefined) return;
  const columns = terminalColumns();
  const line = liveLine(progress, columns - 1, ++turn);
  const held = shared;
  exclusively(held, () => {
    if (held[RESTS] === 1) {
      width = undefined; // the line is drawn anew
      return;
    }
    const same = columns === width && held[DRAWN] === line.length;
    const text = same ? turning(line) : `${erasing(held[DRAWN], columns)}${line}`;
    Deno.stderr.writeSync(encoder.encode(text));
    held[DRAWN] = line.length;
    width = columns;
  });
}, TURN_MILLISECONDS);
