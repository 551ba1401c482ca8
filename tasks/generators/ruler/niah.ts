import { Random } from "../../random.ts";
import type { Wording } from "../../wording.ts";
import { essayHaystack, type Essays, loadEssays } from "./essays.ts";
import { fill, type Haystack, linesHaystack, NOISE_HAYSTACK } from "./haystack.ts";
import { type HaystackKind, NEEDLE_KINDS, type NeedleKind } from "./names.ts";
import { type Needle, NeedleDraws, needleSentence } from "./needles.ts";
import { type Prompt, type Question, type QuestionTask, questionTask } from "./question.ts";
import { nameWords } from "./words.ts";

/** What a needle task is made of. */
export interface NeedleFormat {
  /** What the needles lie in. */
  readonly haystack: HaystackKind;
  /** What keys are. @default words */
  readonly key?: NeedleKind;
  /** What values are. @default numbers */
  readonly value?: NeedleKind;
  /** What the load counts, 4 by default; one of each where nothing is named. */
  readonly load?: "keys" | "values" | "queries";
}

/** Options of RULER's needle tasks. */
export interface NeedleOptions {
  /**
   * A file of essays in place of the State of the Union addresses: plain text, or JSON with `text`, as
   * RULER's `PaulGrahamEssays.json`.
   */
  readonly essays?: string;
  /** What values are, in place of what the task's name says. */
  readonly value?: NeedleKind;
}

const DEFAULT_LOAD = 4;
/** RULER's depths in essays: so many, evenly spaced from 0 to 1 in whole per cent. */
const DEPTHS = 40;

/**
 * A needle in a haystack, RULER's way (Hsieh et al. 2024, section 3.1 and `niah.py`): sentences that
 * give a key a value, somewhere in a haystack; then a key, whose value is due.
 *
 * ```text
 * A special magic number is hidden within the following text. Make sure to memorize it. I will quiz
 * you about the number afterwards.
 * The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.
 * One of the special magic numbers for fuzzy-anchor is: 4271906.
 * The grass is green. The sky is blue. The sun
 * What is the special magic number for fuzzy-anchor mentioned in the provided text? The special magic
 * number for fuzzy-anchor mentioned in the provided text is
 * ```
 *
 * In essays needles stand at RULER's 40 depths, elsewhere between any two lines. A depth that is given
 * is that of the needles asked for, others keep their own. Unlike RULER's, a sample begins at a sentence
 * of its own in the essays, so that an interval over samples covers the text; the last line is cut where
 * the length says; no key or value is part of another; and more than four answers have a larger budget.
 *
 * @throws {Error} where the essays cannot be read.
 */
export async function needleTask(
  name: string,
  format: NeedleFormat,
  { essays: file, value }: NeedleOptions,
  wording: Wording,
): Promise<QuestionTask> {
  const { haystack: kind, key: keys = "word", load: counted } = format;
  const values = value ?? format.value ?? "number";
  if (!NEEDLE_KINDS.includes(values)) {
    throw new RangeError(
      `Cannot ask ${name} as value must be one of ${
        NEEDLE_KINDS.join(", ")
      }: current value is ${values}`,
    );
  }
  const names = await nameWords();
  const essays = kind === "essay" ? await loadEssays(file) : undefined;

  return questionTask({
    name,
    options: { essays: file, ...(value === undefined ? {} : { value }) },
    chance: 0,
    depths: true,
    piece: "words",
    loads: counted === undefined ? undefined : { counts: counted, default: DEFAULT_LOAD },
    asksLoad: counted === "values" || counted === "queries",
    checkLoad(load): void {
      if (!Number.isInteger(load) || load < 1) {
        throw new RangeError(
          `Cannot ask ${name} as the number of ${counted} must be a positive integer: current number is ${load}`,
        );
      }
    },
    draw(random, { depth, load = 1 }): Question {
      const draws = new NeedleDraws(random, names);
      const needles = Array.from(
        { length: counted === "keys" || counted === "queries" ? load : 1 },
        (): Needle => ({
          key: draws.asked(keys),
          values: Array.from(
            { length: counted === "values" ? load : 1 },
            () => draws.asked(values),
          ),
        }),
      );
      const asked = random.distinct(counted === "queries" ? load : 1, [0, needles.length - 1])
        .map((index) => needles[index]);
      const references = asked.flatMap((needle) => needle.values);
      const sentences = needles.flatMap(({ key, values: ofKey }) =>
        ofKey.map((value) => ({
          text: needleSentence(values, key, value),
          reference: references.indexOf(value),
        }))
      );
      const placeOf = drawPlaces(random, sentences.length, kind);
      const distractors = new Random(random.state());
      const haystack = drawHaystack(kind, random, essays, () =>
        needleSentence(
          values,
          draws.distractor(keys, distractors),
          draws.distractor(values, distractors),
        ));
      const { before, after, answerPrefix } = promptAround(values, asked, references);
      return {
        answerPrefix,
        references,
        fewest: 0,
        prompt(pieces): Prompt {
          const parts = haystack.parts(pieces);
          const insertions = sentences.map(({ text, reference }, index) => ({
            text,
            reference,
            place: reference >= 0 && depth !== undefined
              ? Math.round(depth * parts)
              : placeOf(index, parts),
          }));
          const context = fill(haystack, pieces, insertions);
          const evidence = new Array<number>(references.length);
          const places = new Set<number>();
          insertions.forEach(({ reference, place }, index) => {
            if (reference < 0) return;
            evidence[reference] = before.length + context.starts[index];
            places.add(place);
          });
          return {
            text: before + context.text + after,
            evidence,
            ...(places.size === 1 ? { depth: parts === 0 ? 0 : [...places][0] / parts } : {}),
          };
        },
      };
    },
  }, wording);
}

/** How many parts of the haystack stand before each needle. */
function drawPlaces(
  random: Random,
  count: number,
  haystack: HaystackKind,
): (needle: number, parts: number) => number {
  if (haystack === "essay" && count <= DEPTHS) {
    const percent = random.distinct(count, [0, DEPTHS - 1])
      .map((index) => Math.round(100 * index / (DEPTHS - 1)));
    return (needle, parts) => Math.floor(percent[needle] / 100 * parts);
  }
  const shares = Array.from({ length: count }, () => random.float());
  return (needle, parts) => Math.floor(shares[needle] * (parts + 1));
}

function drawHaystack(
  kind: HaystackKind,
  random: Random,
  essays: Essays | undefined,
  nextNeedle: () => string,
): Haystack {
  switch (kind) {
    case "noise":
      return NOISE_HAYSTACK;
    case "needle":
      return linesHaystack(nextNeedle);
    case "essay":
      return essayHaystack(essays!, random.integer(0, essays!.sentences.length - 1));
  }
}

/** RULER's prompt around a haystack. */
function promptAround(
  kind: NeedleKind,
  asked: readonly Needle[],
  references: readonly string[],
): { before: string; after: string; answerPrefix: string } {
  const keys = asked.map(({ key }) => key);
  const query = keys.length === 1 ? keys[0] : `${keys.slice(0, -1).join(", ")}, and ${keys.at(-1)}`;
  const [some, are, all, s] = references.length === 1
    ? ["A", "is", "is", ""]
    : ["Some", "are", "are all", "s"];
  return {
    before:
      `${some} special magic ${kind}${s} ${are} hidden within the following text. Make sure to memorize it. I will quiz you about the ${kind}${s} afterwards.\n`,
    after:
      `\nWhat ${all} the special magic ${kind}${s} for ${query} mentioned in the provided text?`,
    answerPrefix:
      ` The special magic ${kind}${s} for ${query} mentioned in the provided text ${are}`,
  };
}
