/** How much room there is. */
interface Room {
  /** The most tokens. */
  readonly room: number;
  /** So many tokens less are as good. */
  readonly slack: number;
  /** The fewest pieces, which must fit. */
  readonly fewest: number;
  /** The most pieces. */
  readonly most?: number;
}

/** Pieces after which the rate of tokens is known well enough to continue. */
const FIRST_STEP = 64;
/** A further step is at most so many times as long: the rate may be another there. */
const GROWTH = 32;
/** So many pieces more without a token more are no accident. */
const CUT_PIECES = 1024;
/** Steps after which the search halves instead of interpolating. */
const INTERPOLATIONS = 12;

/**
 * The most pieces whose tokens fit in the room, but for the slack. Each step makes and encodes the
 * whole, so that there are few: the rate of the last two extrapolates, then the two counts around the
 * room interpolate. Nothing but the arguments enters, so that the same draws give the same prompt.
 *
 * @returns What `make` gives for them; whether there were no more pieces; and whether it is cut: more
 * pieces give no more tokens.
 */
export function fit<Made extends { readonly tokens: ArrayLike<number> }>(
  make: (pieces: number) => Made,
  { room, slack, fewest, most = Infinity }: Room,
): Made & { exhausted: boolean; cut: boolean } {
  let low = fewest;
  let best = make(low);
  const fewestTokens = best.tokens.length;
  let rate = 0; // tokens a piece, of the last step that fitted
  let high = most + 1; // fits no more, or is not there
  let tokensAtHigh = Infinity;
  for (let step = 0; high - low > 1 && room - best.tokens.length > slack; step++) {
    const left = room - slack / 2 - best.tokens.length;
    let next: number;
    if (tokensAtHigh < Infinity) {
      const share = step < INTERPOLATIONS ? left / (tokensAtHigh - best.tokens.length) : 0.5;
      next = low + Math.floor(share * (high - low));
    } else {
      next = rate > 0
        ? low + Math.min(Math.floor(left / rate), GROWTH * Math.max(low - fewest, 1))
        : low + FIRST_STEP;
    }
    next = Math.max(low + 1, Math.min(high - 1, next));
    const made = make(next);
    if (made.tokens.length > room) {
      [high, tokensAtHigh] = [next, made.tokens.length];
    } else if (next - fewest >= CUT_PIECES && made.tokens.length <= fewestTokens) {
      return { ...best, exhausted: false, cut: true };
    } else {
      rate = (made.tokens.length - best.tokens.length) / (next - low);
      [low, best] = [next, made];
    }
  }
  return { ...best, exhausted: low === most, cut: false };
}
