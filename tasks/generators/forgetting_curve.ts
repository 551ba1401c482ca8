import { randomAt } from "../random.ts";
import { checkLength, type Sample, type SampleCoordinates, type Task, UNSCORED } from "../task.ts";
import type { Wording } from "../wording.ts";
import { partOf, readText, type TextOptions } from "./text_source.ts";

/** The fewest tokens that are copied: one is due where the copy has begun to be one. */
const FEWEST = 2;

/**
 * The forgetting curve (Liu et al. 2024, arXiv 2410.04727, section 3): how much better a model predicts
 * a stretch of text that stood before, token by token, than the same stretch behind other text. It
 * takes no prompt and no template, so that base models and tiny ones can be asked.
 *
 * ```text
 * sample   the whale swims | the whale swims    the second half is due: copy accuracy
 * control  call me Ishmael | the whale swims    the same tokens are due: language-model accuracy
 * ```
 *
 * The metric is the first accuracy minus the second, over the same tokens: 0 where nothing that stood
 * half a sample back is remembered, whatever the model knows of language. The true tokens are read
 * meanwhile (teacher forcing). The first token of the copy is not due, as nothing says before it that a
 * copy begins.
 *
 * A sample of L tokens repeats ⌊L/2⌋; one left over is the text before them. The other text lies
 * elsewhere in the same part of the file, so that a file must hold L tokens.
 *
 * @param wording The tokenizer; bytes, as they are in the file, by default.
 * @throws {Error} where the file cannot be read or is too short.
 */
export async function forgettingCurve(
  options: TextOptions = {},
  wording?: Wording,
): Promise<Task> {
  const name = "forgetting-curve";
  const source = await readText(name, { ...options, needed: 2 * FEWEST }, wording);
  const { begin, heldOut, inWords, room, vocabulary } = source;

  const task: Task = {
    name,
    metric: "forgetting_curve",
    vocabulary,
    options: { file: options.file, heldOut },
    source: inWords,
    depths: false,
    longestLength: begin.length + room - room % 2,
    chance: () => undefined,
    shortestLength: () => begin.length + 2 * FEWEST,
    sample: (coordinates) => make(coordinates).copy,
    controls: (coordinates) => [make(coordinates).control],
  };
  return task;

  /** The stretch twice, and behind other text. */
  function make(coordinates: SampleCoordinates): { copy: Sample; control: Sample } {
    const { length, split } = coordinates;
    checkLength(task, length);
    const part = partOf(source, split);
    const copied = Math.floor((length - begin.length) / 2);
    const first = length - begin.length - copied; // with the token that is left over
    const random = randomAt(name, coordinates);
    const free = part.length - 2 * first;
    const places = [random.integer(0, free), random.integer(0, free)].sort((a, b) => a - b);
    places[1] += first; // two stretches of the text that do not overlap
    if (random.integer(0, 1) === 1) places.reverse();
    const [own, other] = places.map((place) => part.subarray(place, place + first));
    const stretch = own.subarray(first - copied);
    const labels = new Uint32Array(length).fill(UNSCORED);
    labels.set(stretch.subarray(1), length - copied);
    const evidence = labels.map((label, t) => label === UNSCORED ? UNSCORED : t + 1 - copied);
    const begins = begin.length > 0;
    const behind = (context: Uint32Array): Uint32Array => {
      const tokens = new Uint32Array(length);
      tokens.set(begin);
      tokens.set(context, begin.length);
      tokens.set(stretch, length - copied);
      return tokens;
    };
    return {
      copy: { tokens: behind(own), labels, evidence, begins },
      control: { tokens: behind(other), labels, begins },
    };
  }
}
