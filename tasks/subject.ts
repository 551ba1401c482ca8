import type { Sample, Task } from "./task.ts";
import type { Recipe } from "./training/recipe.ts";

/** A training: the unit of evidence for a claim about an architecture. */
export interface SubjectTraining {
  /** Seed of the initial values and of the data. */
  readonly seed: number;
  /** The peak learning rate. */
  readonly learningRate: number;
  /** How many tokens it was trained on, undefined before it is trained. */
  readonly tokens?: number;
}

/** What a sweep must know of a model before it is loaded. */
export interface SubjectCard {
  /** As `--models` and the results call it. */
  readonly name: string;
  /** The architecture: `transformer`, `mamba2`, … */
  readonly family: string;
  /** How many weights it has. */
  readonly parameters: number;
  /** The longest length that it was trained at, in tokens; undefined if unknown. */
  readonly trainLength?: number;
  /** How it was trained, where that was done here. */
  readonly training?: SubjectTraining;
  /** The names of the tasks that it is asked by default: those that it was trained on. */
  readonly tasks: readonly string[];
  /** The names of those that it can be asked besides. */
  readonly otherTasks?: readonly string[];
  /**
   * How many tokens back its attention sees, where every layer of it is limited: what lies farther
   * back reaches an answer through a recurrent state, or from layer to layer, if at all.
   */
  readonly window?: number;
  /** How many first tokens such attention keeps in sight. */
  readonly sinks?: number;
  /** How many tokens back something can reach an answer through such attention, from layer to layer. */
  readonly reach?: number;
  /** How large its state is after `length` tokens, in bytes, where that is known beforehand. */
  stateBytes?(length: number): number;
  /** Changes when the weights do, so that a sweep does not go on with another model's cells. */
  readonly fingerprint?: string;
  /**
   * The task as the model knows it, in its own vocabulary and layout, but for what `options` say.
   *
   * @param template The name of the prompt template, for tasks in words; `base` by default.
   * @throws {RangeError} where the model has no such template.
   */
  task(
    name: string,
    options?: Readonly<Record<string, unknown>>,
    template?: string,
  ): Promise<Task>;
}

/** A batch's answers. */
export interface Answers {
  /** Of each sample, 1 where the scored position's most likely token is its label: `[scored]`. */
  readonly correct: readonly Uint8Array[];
  /** Of each sample, −ln of the probability given to the scored position's label: `[scored]`. */
  readonly nll: readonly Float32Array[];
  /** Of each sample the text that followed, where a reply is due. */
  readonly replies?: readonly string[];
  /** Of each sample the tokens of its reply, where one is due. */
  readonly replyTokens?: readonly number[];
  /** Of each sample the scored positions' likeliest tokens, where they were asked for: `[scored]`. */
  readonly predicted?: readonly Uint32Array[];
  /** How long the batch took to read. */
  readonly prefillMilliseconds: number;
  /** The most GPU memory held meanwhile, weights included. */
  readonly peakBytes: number;
}

/** How a batch is answered. */
export interface AnswerOptions {
  /** Ends it between two replies, where those are due. */
  readonly signal?: AbortSignal;
  /** Whether the scored positions' likeliest tokens are wanted. @default false */
  readonly predictions?: boolean;
}

/** A model that answers: what a sweep runs. */
export interface Subject extends SubjectCard {
  /** How large its state is after `length` tokens, in bytes. */
  stateBytes(length: number): number;
  /**
   * Answers a batch of samples of one length.
   *
   * @throws {NotANumberError} where what a reply is chosen by is NaN.
   */
  answer(samples: readonly Sample[], options?: AnswerOptions): Promise<Answers>;
  /** The text of tokens; their numbers, where the model has no tokenizer. */
  decode?(tokens: ArrayLike<number>): string;
  /** The most tokens that it reads at once: more are read in segments, where that is so. */
  readonly segmentTokens?: number;
  /** How long one more token takes after `length` of them. */
  stepMilliseconds(length: number): Promise<number>;
}

/** Where models come from: the committed ones, a folder of checkpoints. */
export interface SubjectSource {
  /** What runs the models, for the results' adapter column. */
  adapter(): Promise<string>;
  /**
   * Takes recipes in: a model of a recipe's name is trained when it is opened, into a folder of its
   * name in `folder`, unless it is finished there. With `train: false` it is opened as it is before
   * its training then. A source that cannot train leaves this out.
   */
  learn?(recipes: readonly Recipe[], where: { folder: string; train: boolean }): void;
  /** The cards of the named models, in order; of the default ones where `names` is empty. */
  find(names: readonly string[]): Promise<readonly SubjectCard[]>;
  /**
   * Loads one. Only one is held at a time.
   *
   * @param options.signal Ends the training of a model that is trained first, at a checkpoint.
   * @throws {DOMException} called `AbortError`, where it did.
   */
  open(
    card: SubjectCard,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Subject & AsyncDisposable>;
}
