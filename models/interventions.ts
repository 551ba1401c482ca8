import type { ModelConfiguration } from "./configuration.ts";
import { didYouMean } from "./did_you_mean.ts";
import { mapMixers, mixersOf } from "./layers.ts";
import type { AttentionConfiguration } from "./mixers/attention.ts";

/** What {@linkcode intervene} must know of a model besides its configuration. */
export interface InterventionContext {
  /** The longest length that it was trained at, in tokens, which YaRN alone needs. */
  readonly trainLength?: number;
}

type Change = (
  attention: AttentionConfiguration,
  value: number,
  context: InterventionContext,
) => AttentionConfiguration;

interface Intervention {
  /** What it does, in a line. */
  readonly help: string;
  /** What its number is; it takes none where this is left out. */
  readonly takes?: string;
  readonly change: Change;
}

/** Attention without positions. */
function withoutPositions(attention: AttentionConfiguration): AttentionConfiguration {
  const {
    rotaryBase: _,
    rotaryScaling: __,
    rotaryDim: ___,
    rotaryGain: ____,
    alibi: _____,
    ...rest
  } = attention;
  return rest;
}

/** Rotary positions stretched. @throws {RangeError} if there are none. */
function stretched(
  attention: AttentionConfiguration,
  rotaryScaling: AttentionConfiguration["rotaryScaling"],
): AttentionConfiguration {
  if (attention.rotaryBase === undefined) {
    throw new RangeError(
      `Cannot change a model with ${rotaryScaling?.kind} as its attention has no rotary positions`,
    );
  }
  return { ...attention, rotaryScaling };
}

const INTERVENTIONS: Readonly<Record<string, Intervention>> = {
  nope: {
    help: "attention without positions",
    change: (attention) => withoutPositions(attention),
  },
  alibi: {
    help: "ALiBi in place of rotary positions (Press et al. 2022)",
    change: (attention) => ({ ...withoutPositions(attention), alibi: true }),
  },
  rope: {
    help: "rotary positions with another base (Su et al. 2021)",
    takes: "base",
    change: ({ alibi: _, ...attention }, rotaryBase) => ({ ...attention, rotaryBase }),
  },
  linear: {
    help: "position interpolation (Chen et al. 2023)",
    takes: "factor",
    change: (attention, factor) => stretched(attention, { kind: "linear", factor }),
  },
  ntk: {
    help: "NTK-aware scaling (bloc97 2023)",
    takes: "factor",
    change: (attention, factor) => stretched(attention, { kind: "ntk", factor }),
  },
  yarn: {
    help: "YaRN, with its scale of the attention (Peng et al. 2023)",
    takes: "factor",
    change(attention, factor, { trainLength }): AttentionConfiguration {
      if (trainLength === undefined) {
        throw new RangeError(
          `Cannot change a model with yarn${factor} as its files do not say at which length it was trained: give that (--train-length)`,
        );
      }
      const { headDim, rotaryDim = headDim, rotaryGain = 1, scale = headDim ** -0.5 } = attention;
      const gain = 0.1 * Math.log(factor) + 1;
      return {
        ...stretched(attention, { kind: "yarn", factor, trainedLength: trainLength }),
        // What does not turn is not scaled.
        ...(rotaryDim === headDim
          ? { scale: scale * gain ** 2 }
          : { rotaryGain: rotaryGain * gain }),
      };
    },
  },
  window: {
    help: "a window of so many tokens (Beltagy et al. 2020)",
    takes: "tokens",
    change: (attention, window) => ({ ...attention, window }),
  },
  sinks: {
    help: "the first tokens stay in view of the window (Xiao et al. 2023)",
    takes: "tokens",
    change: (attention, sinks) => ({ ...attention, sinks }),
  },
};

/** The interventions in words, for help: `nope, alibi, rope<base>, …`. */
export const INTERVENTION_NAMES: readonly string[] = Object.entries(INTERVENTIONS)
  .map(([name, { takes }]) => takes === undefined ? name : `${name}<${takes}>`);

/**
 * A model with its attention changed and its weights as they are: what people do to a trained model to
 * have it read longer than it was trained.
 *
 * ```ts
 * import { architecture, intervene } from "@lengthwise/lengthwise/models";
 *
 * const model = architecture("transformer", { vocabulary: 64, width: 32 });
 * const longer = intervene(model, ["yarn8"], { trainLength: 64 });
 * console.log(longer.layers[0].mixer);
 * ```
 *
 * @param changes In their order, such as `["yarn8"]`, `["window64", "sinks4"]` or `["window4k"]`.
 * @throws {RangeError} for an unknown intervention, for a model that has no attention, and for YaRN
 * where it is not known at which length the model was trained.
 */
export function intervene(
  configuration: ModelConfiguration,
  changes: readonly string[],
  context: InterventionContext,
): ModelConfiguration {
  if (!configuration.layers.flatMap(mixersOf).some(({ kind }) => kind === "attention")) {
    throw new RangeError(
      `Cannot change a ${configuration.family} with ${changes.join(", ")} as it has no attention`,
    );
  }
  const parsed = changes.map(parseIntervention);
  return {
    ...configuration,
    layers: configuration.layers.map((layer) =>
      mapMixers(layer, (mixer) =>
        mixer.kind === "attention"
          ? parsed.reduce(
            (attention, { change, value }) => change(attention, value, context),
            mixer,
          )
          : mixer)
    ),
  };
}

function parseIntervention(text: string): { change: Change; value: number } {
  const [, name, number, unit] = /^([a-z]+)(?:(\d+(?:\.\d+)?)(k)?)?$/.exec(text) ?? [];
  const intervention = Object.hasOwn(INTERVENTIONS, name ?? "") ? INTERVENTIONS[name] : undefined;
  const fits = intervention !== undefined &&
    (intervention.takes === undefined) === (number === undefined) &&
    (unit === undefined || intervention.takes === "tokens");
  const value = Number(number) * (unit === undefined ? 1 : 2 ** 10);
  if (!fits) {
    // With the number that was given, or the word for one: "yarm8" is near "yarn8".
    const known = Object.entries(INTERVENTIONS).map(([name, { takes }]) =>
      takes === undefined ? name : `${name}${number ?? `<${takes}>`}`
    );
    throw new RangeError(
      didYouMean("intervention", text, known, `known are ${INTERVENTION_NAMES.join(", ")}`),
    );
  }
  const { takes } = intervention;
  if (takes !== undefined && !(value > 0 && (takes !== "tokens" || Number.isInteger(value)))) {
    throw new RangeError(
      `Cannot change a model with ${text} as its ${takes} must be ${
        takes === "tokens" ? "a positive integer" : "greater than 0"
      }`,
    );
  }
  return { change: intervention.change, value };
}
