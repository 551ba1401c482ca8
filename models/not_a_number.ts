/** Where a model's numbers stopped being numbers, as far as is known. */
export interface NotANumberPlace {
  /** The token, counted from 0, after which it was noticed. */
  readonly position: number;
  /** Which of a cell's samples. */
  readonly sample?: number;
  /** The model's name. */
  readonly model?: string;
  /** The task's name. */
  readonly task?: string;
  /** Tokens in a sample. */
  readonly length?: number;
}

/**
 * A model computed NaN, or infinity where a result needs a finite number. Its weights are broken, or a
 * kernel is at this length: whatever would be made of such numbers is not a result.
 */
export class NotANumberError extends Error {
  /** The error's name. */
  override readonly name = "NotANumberError";
  /** Where it was noticed. */
  readonly place: NotANumberPlace;
  readonly #what: string;
  readonly #value: number;

  /**
   * An error that says all that is known of the place.
   *
   * @param what The number, in words: "logits", "log-likelihood".
   * @param value What it is instead.
   */
  constructor(what: string, value: number, place: NotANumberPlace) {
    super(describe(what, value, place));
    this.#what = what;
    this.#value = value;
    this.place = place;
  }

  /** The same error with more of its place. */
  at(place: Partial<NotANumberPlace>): NotANumberError {
    const whole = { ...this.place, ...place };
    return new NotANumberError(this.#what, this.#value, whole);
  }
}

function describe(
  what: string,
  value: number,
  { position, sample, model, task, length }: NotANumberPlace,
): string {
  const asked = task === undefined ? "Cannot use a model's answer" : `Cannot score ${task}`;
  const at = length === undefined ? "" : ` at ${length} tokens`;
  const whose = model === undefined ? "the model's" : `${model}'s`;
  const of = sample === undefined ? "" : ` of sample ${sample}`;
  return `${asked}${at} as ${whose} ${what} at position ${position}${of} is ${value}: its weights are broken, or a kernel is at this length`;
}
