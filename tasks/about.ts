import { formatOf, type RulerName } from "./generators/ruler/names.ts";
import type { TaskName } from "./registry.ts";

/** What is asked in each task, in a line; the formats of a needle are all told by their names. */
const ABOUT: Readonly<Record<Exclude<TaskName, RulerName> | RulerTask, string>> = {
  "mqar": "Key–value pairs, then their keys again: which value stood with each?",
  "induction": "A mark stands somewhere and again at the end: which symbol followed it?",
  "selective-copying": "A few symbols scattered among blanks: say them in their order.",
  "passkey": "One key with its value among fillers: what was the value?",
  "niah-noise": "Which value has the key that stands somewhere in repeated noise?",
  "niah-essay": "Which value has the key that stands somewhere in text of ever new words?",
  "niah-needles": "Which value has this one of many keys?",
  "parity": "After each bit: have there been an even or an odd number of ones?",
  "s5": "After each permutation of five things: what do all so far make together?",
  "in-context-recall": "Keys and values in turn: which value had this key when it stood last?",
  "fuzzy-in-context-recall": "The same with keys and values of several tokens each.",
  "noisy-in-context-recall": "In-context recall with noise in the place of some pairs.",
  "compression": "Random symbols, then marks: the n-th mark asks for the n-th symbol.",
  "memorization": "Which value has a key, by a table that never stands in the sequence?",
  "copying": "A string, then the same again: which letter comes next?",
  "ngram-lookup": "Some letters of a string: what followed them there?",
  "phone-book": "A list of names with numbers: which number has this name?",
  "text": "Prediction of the next token of a text.",
  "forgetting-curve":
    "A stretch of text and the same again: how much better is it predicted than behind other text?",
  "context-gain":
    "Prediction of the next token of a text: what does all that stood before add to the last part of it?",
  "niah_single_1": "A number by its word, in five sentences repeated over and over.",
  "niah_single_2": "A number by its word, in essays.",
  "niah_single_3": "A UUID by its word, in essays.",
  "niah_multikey_1": "A number by its word, in essays with three other needles.",
  "niah_multikey_2": "A number by its word, among nothing but other needles.",
  "niah_multikey_3": "A UUID by another, among nothing but other needles.",
  "niah_multivalue": "All four numbers of one word, in essays.",
  "niah_multiquery": "The numbers of four words, in essays.",
  "vt": "Assignments among noise: which variables have this value in the end?",
  "cwe": "A list of words: which ten are the most common?",
  "fwe": "Coded words in the proportions of a language: which three are the most frequent?",
  "qa_1": "A question on one of many paragraphs (SQuAD).",
  "qa_2": "A question on two of many paragraphs (HotpotQA).",
};

/** One of RULER's tasks other than the formats of a needle. */
type RulerTask = Exclude<RulerName, `niah_${string}_${string}_${string}`>;

/** What is asked in a task, in a line; undefined for a name that no task has. */
export function aboutTask(name: string): string | undefined {
  if (Object.hasOwn(ABOUT, name)) return ABOUT[name as keyof typeof ABOUT];
  const format = formatOf(name);
  if (format === undefined) return undefined;
  const places = { noise: "repeated noise", essay: "essays", needle: "nothing but other needles" };
  const called = { word: "word", number: "number", uuid: "UUID" };
  const { haystack, key, value } = format;
  return `A ${called[value]} by its ${called[key]}, in ${places[haystack]}.`;
}
