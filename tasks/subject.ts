import type { AskedModel, ModelDescription, ModelSettings } from "./subjects/description.ts";
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
  /** As the results call it. */
  readonly name: string;
  /** What it is and how it is opened, where a source goes by that. */
  readonly description?: ModelDescription;
  /**
   * What it is compared as, where it is one of several trainings by a recipe: what differs is the seed.
   * @default `name`
   */
  readonly variant?: string;
  /** The architecture: `transformer`, `mamba2`, … */
  readonly family: string;
  /** How many weights it has. */
  readonly parameters: number;
  /** The longest length that it was trained at, in tokens; undefined if unknown. */
  readonly trainLength?: number;
  /** How it was trained, where that was done here. */
  readonly training?: SubjectTraining;
  /**
   * The names of the tasks that it is asked by default: those that it was trained on, and what it
   * remembers where that was text.
   */
  readonly tasks: readonly string[];
  /** The names of those that it can be asked besides. */
  readonly otherTasks?: readonly string[];
  /** Why it can be asked nothing as it is, and what to do: "it has no tokenizer: give …". */
  readonly cannotBeAsked?: string;
  /**
   * How many tokens back its attention sees, where every layer of it is limited: what lies farther
   * back reaches an answer through a recurrent state, or from layer to layer, if at all.
   */
  readonly window?: number;
  /** How many first tokens such attention keeps in sight. */
  readonly sinks?: number;
  /** How many tokens back something can reach an answer through such attention, from layer to layer. */
  readonly reach?: number;
  /** Whether recurrent layers beside such attention carry the whole past. @default false */
  readonly carries?: boolean;
  /** How large its state is after `length` tokens, in bytes, where that is known beforehand. */
  stateBytes?(length: number): number;
  /** Bytes that its weights take on the GPU, where that is known beforehand. */
  readonly weightBytes?: number;
  /** Whether its weights are not on this machine: it cannot be opened as it is. */
  readonly isAbsent?: boolean;
  /** Changes when the weights do, so that a sweep does not continue with another model's cells. */
  readonly fingerprint?: string;
  /** The template that it is asked in, in place of those of a sweep. */
  readonly template?: string;
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
  /** Ends it between two segments of a prompt, two parts of a reply, or two replies. */
  readonly signal?: AbortSignal;
  /** Whether the scored positions' likeliest tokens are wanted. @default false */
  readonly predictions?: boolean;
  /**
   * Called where all is computed and the answers are only to be brought here: the next batch may be
   * asked then. Deno takes 10 ms for that.
   */
  readonly onComputed?: () => void;
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
  /**
   * Checks that so many sequences of a length can be read at once, before they are made.
   *
   * @throws {RangeError} with the bytes needed and the limit.
   */
  checkRoom?(length: number, batch: number): void;
  /**
   * How long one more token takes after `length` of them.
   *
   * @param options.signal Ends it while those are read.
   */
  stepMilliseconds(length: number, options?: { readonly signal?: AbortSignal }): Promise<number>;
}

/** What models are found by, besides their names. */
export interface FindOptions {
  /** Recipes whose models are found by their names, before all others. */
  readonly recipes?: readonly Recipe[];
  /**
   * Where the models of recipes go, each into a folder of its name: such a model is trained when it is
   * opened, unless it is finished there. @default "results/train"
   */
  readonly folder?: string;
  /** Whether they are trained: otherwise they are opened as they are before. @default true */
  readonly train?: boolean;
  /** A folder that may hold checkpoints which are named as on the hub, by `owner/name` or `name`. */
  readonly checkpoints?: string;
  /**
   * Whether the weights of models on the hub are downloaded: otherwise their cards alone can be had,
   * from their configurations. @default true
   */
  readonly weights?: boolean;
  /** Settings of the models that have none of their own; a tokenizer concerns published checkpoints. */
  readonly settings?: ModelSettings;
}

/** Where models come from: the committed ones, a folder of checkpoints. */
export interface SubjectSource {
  /** What runs the models, for the results' adapter column. */
  adapter(): Promise<string>;
  /** Whether it trains models by recipes. @default false */
  readonly trains?: boolean;
  /** The cards of models, in order; of the default ones where `models` is empty. */
  find(models: readonly AskedModel[], options?: FindOptions): Promise<readonly SubjectCard[]>;
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
