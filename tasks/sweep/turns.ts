/** Work that has begun. */
export interface Begun<Result> {
  /** Whether it is done, and did not only let others begin. */
  readonly isDone: boolean;
  /** What it gives when it is done. */
  readonly done: Promise<Result>;
}

/**
 * Begins some work, and waits until something else may begin beside it.
 *
 * @param work Calls `release` when that is so; its end says so too.
 */
export async function begin<Result>(
  work: (release: () => void) => Promise<Result>,
): Promise<Begun<Result>> {
  const { promise: released, resolve } = Promise.withResolvers<boolean>();
  const done = work(() => resolve(false));
  done.then(() => resolve(true), () => resolve(true));
  return { isDone: await released, done };
}

/**
 * What several promises give.
 *
 * @throws the first one's error that has one, when all are done.
 */
export async function allDone<const Promises extends readonly Promise<unknown>[]>(
  promises: Promises,
): Promise<{ -readonly [Index in keyof Promises]: Awaited<Promises[Index]> }> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

/**
 * Works on items one after the other, each as soon as the one before it lets it.
 *
 * @param work Calls `release` when the next may begin; its end says so too.
 * @param onLast Called when the last one releases.
 * @returns The results in the order of the items.
 * @throws the first item's error that has one, when all that began are done; none begins behind it.
 */
export async function inTurns<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number, release: () => void) => Promise<Result>,
  onLast?: () => void,
): Promise<Result[]> {
  const results: Promise<Result>[] = [];
  let failed = false;
  for (const [index, item] of items.entries()) {
    const { done } = await begin(async (next) => {
      try {
        return await work(item, index, () => {
          next();
          if (index === items.length - 1) onLast?.();
        });
      } catch (error) {
        failed = true;
        throw error;
      }
    });
    results.push(done);
    if (failed) break;
  }
  return await allDone(results);
}
