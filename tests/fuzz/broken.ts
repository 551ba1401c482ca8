import { difference } from "./kernels/compare.ts";
import { checkRefusal, type FuzzKind, type Outcome } from "./kind.ts";

/** What a fuzzer has to find, one of each: it is held against them itself. */
export const BROKEN: FuzzKind = {
  cases: {
    right: (): Outcome => "right",
    refused: (): Outcome => checkRefusal(new Error("Cannot read a.pth: it is cut off")),
    number(): Outcome {
      const wrong = difference([1, 2, 3.001], [1, 2, 3], { bound: 1e-4 });
      if (wrong !== undefined) throw new Error(`output ${wrong}`);
      return "right";
    },
    swallowed(): Outcome {
      const wrong = difference([1, 0], [1, NaN], { bound: 1e-4 });
      if (wrong !== undefined) throw new Error(`output ${wrong}`);
      return "right";
    },
    mistake: (): Outcome => checkRefusal(new TypeError("undefined is not a function")),
    hang(): Outcome {
      for (;;);
    },
    crash: (): Outcome => Deno.exit(3),
    later: (): Outcome => "right",
  },
  patience: 2,
};
