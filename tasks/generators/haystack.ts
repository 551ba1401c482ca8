import type { Random } from "../random.ts";

/** What needles lie in: five sentences repeated, an essay that never repeats, or other needles. */
export type Haystack = "noise" | "essay" | "needles";

/** The sentences of RULER's noise (Hsieh et al. 2024, appendix B), word by word. */
const NOISE =
  "the grass is green . the sky is blue . the sun is yellow . here we go . there and back again ."
    .split(" ");

/** The words of noise and essays; a word's token is its place here, from the first filler on. */
const WORDS = [...new Set(NOISE)];

/** How many words noise and essays are made of. */
export const FILLER_WORDS: number = WORDS.length;

/** Which words may follow a word in an essay, all with the same probability. */
const FOLLOWERS: Readonly<Record<string, string>> = {
  ".": "the here there we",
  the: "grass sky sun",
  grass: "is and",
  sky: "is and",
  sun: "is and",
  is: "green blue yellow here there back",
  green: ". and",
  blue: ". and",
  yellow: ". and",
  and: "the here there we back green blue yellow",
  here: "we and .",
  there: "we and .",
  we: "go",
  go: ". and here there back again",
  back: ". and again",
  again: ". and",
};

const CHAIN = WORDS.map((word) =>
  FOLLOWERS[word].split(" ").map((follower) => WORDS.indexOf(follower))
);
const FULL_STOP = WORDS.indexOf(".");

/** The sentences of noise, over and over: the next word's number at each call. */
export function noiseWords(): () => number {
  let next = 0;
  return () => WORDS.indexOf(NOISE[next++ % NOISE.length]);
}

/** An essay, drawn from a Markov chain over the same words: the next word's number at each call. */
export function essayWords(random: Random): () => number {
  let word = FULL_STOP;
  return () => {
    const followers = CHAIN[word];
    return word = followers[random.integer(0, followers.length - 1)];
  };
}
