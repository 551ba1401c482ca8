import type { SubjectCard, SubjectSource } from "./subject.ts";

/**
 * The committed models, and any folder that holds a checkpoint.
 *
 * @throws {RangeError} from `find` for a name that no model has, listing the right ones.
 */
export function zoo(): SubjectSource {
  const cards: SubjectCard[] = [];
  return {
    adapter: () => Promise.resolve("none"),
    find: (names) => {
      const wrong = names.find((name) => !cards.some((card) => card.name === name));
      return Promise.reject(
        new RangeError(
          wrong === undefined
            ? "There are no models to sweep: deno task train --zoo makes them"
            : `There is no model ${wrong}: there are ${
              cards.map(({ name }) => name).join(", ") || "none"
            }`,
        ),
      );
    },
    open: (card) => Promise.reject(new RangeError(`There is no model ${card.name}`)),
  };
}
