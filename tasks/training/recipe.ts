import { didYouMean } from "../../models/did_you_mean.ts";
import {
  architecture,
  type ArchitectureOptions,
  mapMixers,
  type ModelConfiguration,
} from "../../models/mod.ts";
import { matched } from "./equal_parameters.ts";
import { smallLayout, type TaskName, type TaskOptions } from "../registry.ts";

/** A task of a recipe's mixture. */
export interface RecipeTask {
  /** The task's name in the registry. */
  readonly name: TaskName;
  /** Its options: vocabulary, layout, load. */
  readonly options: TaskOptions[TaskName];
}

/** A length that a model is trained at, and how much is to be remembered there. */
export interface TrainingPoint {
  /** Tokens of a sequence. */
  readonly length: number;
  /** The load of the tasks that have one. @default their own */
  readonly load?: number;
  /** How often it comes, against the other points' weights. @default 1 */
  readonly weight?: number;
}

/** How a model is trained, as plain data: the same recipe and seed give the same loss curve. */
export interface Recipe {
  /** The recipe's name, which the model that it makes bears too. */
  readonly name: string;
  /** The model. */
  readonly model: ModelConfiguration;
  /** The tasks; each batch holds as many sequences of each. */
  readonly tasks: readonly RecipeTask[];
  /**
   * Length of the training sequences in tokens; every other batch or so is half as long. Where there
   * are points, it is the greatest of theirs.
   */
  readonly length: number;
  /** A mixture of lengths and loads, of which each step draws one. */
  readonly points?: readonly TrainingPoint[];
  /**
   * Truncated back-propagation: sequences are read in so many segments, from each of which the next
   * takes the state over, but no gradient passes between them; 1 by default.
   */
  readonly segments?: number;
  /**
   * State passing (Ruiz & Gu 2025): the share of steps that begin with the state that the step before
   * ended with, so that states are met which a sequence alone would reach only later; 0 by default.
   * For models without attention.
   */
  readonly statePassing?: number;
  /** Sequences per step, over all tasks. */
  readonly batch: number;
  /** Peak learning rate of AdamW. */
  readonly learningRate: number;
  /** Steps of linear warm-up. */
  readonly warmupSteps: number;
  /** Steps during which the first task alone is trained on; 0 for none. */
  readonly firstTaskSteps: number;
  /**
   * The accuracy that the worst task must reach over the last measured steps for the rate to cool
   * down; 1 or more where the rate cools over the last quarter of {@linkcode Recipe.steps} only.
   */
  readonly targetAccuracy: number;
  /** The most steps. */
  readonly steps: number;
  /**
   * Whether the rate cools down before the end, or stays constant after warm-up for all
   * {@linkcode Recipe.steps}. @default "cooldown"
   */
  readonly schedule?: "cooldown" | "constant";
  /** Weight decay of the weights of linear maps. @default 0.01 */
  readonly weightDecay?: number;
  /** Seed of the initial values and of the data. */
  readonly seed: number;
}

/** Momenta of AdamW, the largest gradient norm, and the weight decay of most recipes. */
export const OPTIMIZER = {
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  weightDecay: 0.01,
  gradientNorm: 1,
} as const;

const SYNTHETIC_TASKS = ["mqar", "induction", "selective-copying", "passkey"] as const;

/** The synthetic tasks in one vocabulary, so that one model can learn them all. */
const MIXTURE: readonly RecipeTask[] = SYNTHETIC_TASKS.map((name) => ({
  name,
  options: smallLayout(name, true),
}));

/** What most recipes have alike, and what a file may leave out. */
export const RECIPE_DEFAULTS = {
  length: 64,
  batch: 64,
  learningRate: 3e-3,
  warmupSteps: 50,
  firstTaskSteps: 0,
  targetAccuracy: 0.97,
  steps: 6000,
  seed: 1,
} as const;

function mixture(
  family: string,
  overrides: Partial<Recipe> = {},
  tasks: readonly RecipeTask[] = MIXTURE,
): Recipe {
  return {
    name: `${family}-mixture`,
    model: architecture(family, { vocabulary: 64, width: 32 }),
    tasks,
    ...RECIPE_DEFAULTS,
    ...overrides,
  };
}

/** Parameters of the models of the mixture that are compared, each within 5%. */
const PARAMETERS = 27_000;

/**
 * What is alike in their trainings: tokens, steps and the batches themselves. No training ends early,
 * and the first task comes first for all, as the transformer needs it.
 */
const MATCHED_PROTOCOL = { steps: 2400, firstTaskSteps: 350, targetAccuracy: 1 } as const;

function small(family: string, stateDim?: number): ModelConfiguration {
  return matched(architecture(family, { vocabulary: 64, width: 32, stateDim }), PARAMETERS, 4);
}

/** Griffin whose recurrences are as wide as the model, as RecurrentGemma's, in place of twice. */
function narrowGriffin(options: ArchitectureOptions): ModelConfiguration {
  const model = architecture("griffin", options);
  return {
    ...model,
    layers: model.layers.map((layer) =>
      mapMixers(
        layer,
        (mixer) => mixer.kind === "rg_lru" ? { ...mixer, recurrentWidth: model.width } : mixer,
      )
    ),
  };
}

/**
 * The architectures that are compared, each at the best of the learning rates 2e-3, 5e-3 and 1e-2 by
 * the loss of a training of another seed, of 600 steps (the transformer 1,000).
 */
const MATCHED: readonly (readonly [model: ModelConfiguration, learningRate: number])[] = [
  [small("transformer"), 5e-3],
  [small("mamba2", 64), 5e-3],
  [small("gla"), 5e-3],
  [matched(narrowGriffin({ vocabulary: 64, width: 32 }), PARAMETERS, 4), 1e-2],
  [small("mamba2-attention"), 5e-3],
];

/** A needle in each of the three haystacks; what other needles hide needs the most recall. */
const NIAH: readonly RecipeTask[] = (["niah-needles", "niah-noise", "niah-essay"] as const)
  .map((name) => ({ name, options: smallLayout(name) }));

function niah(family: string, overrides: Partial<Recipe> = {}): Recipe {
  return mixture(family, {
    name: `${family}-niah`,
    batch: 48,
    steps: 5000,
    ...overrides,
  }, NIAH);
}

/** The six tasks of MAD (Poli et al. 2024), selective copying among them. */
const MAD: readonly RecipeTask[] = ([
  "in-context-recall",
  "fuzzy-in-context-recall",
  "noisy-in-context-recall",
  "selective-copying",
  "compression",
  "memorization",
] as const).map((name) => ({
  name,
  options: {
    ...smallLayout(name, true),
    ...(name === "selective-copying" ? { layout: "mad" as const } : {}),
  },
}));

/** What must be copied from far back (Jelassi et al. 2024). */
const COPYING: readonly RecipeTask[] = (["copying", "ngram-lookup", "phone-book"] as const)
  .map((name) => ({ name, options: smallLayout(name, true) }));

function stateTracking(
  task: "parity" | "s5",
  family: string,
  model: (options: ArchitectureOptions) => ModelConfiguration,
): Recipe {
  const options = smallLayout(task);
  return {
    name: `${family}-${task}`,
    model: model({ vocabulary: options.vocabulary!, width: 32 }),
    tasks: [{ name: task, options }],
    ...RECIPE_DEFAULTS,
    ...(task === "parity" ? { steps: 1500 } : {}),
  };
}

/** DeltaNet with eigenvalues from −1 to 1 (Grazzi et al. 2025). */
function negativeDeltaNet(options: ArchitectureOptions): ModelConfiguration {
  const model = architecture("deltanet", options);
  return {
    ...model,
    family: "deltanet-negative",
    layers: model.layers.map((layer) =>
      mapMixers(
        layer,
        (mixer) => mixer.kind === "delta_net" ? { ...mixer, negativeEigenvalues: true } : mixer,
      )
    ),
  };
}

/** About what the models of texts have that are not Griffin. */
const TEXT_PARAMETERS = 71_000;

function text(family: string): Recipe {
  const size = { vocabulary: 256, width: 48 };
  return {
    name: `${family}-text`,
    model: family === "griffin"
      ? matched(narrowGriffin(size), TEXT_PARAMETERS, 4)
      : architecture(family, size),
    tasks: [{ name: "text", options: {} }],
    ...RECIPE_DEFAULTS,
    length: 256,
    batch: 16,
    targetAccuracy: 1,
    steps: 400,
  };
}

const FAMILIES = ["transformer", "mamba2", "gla", "griffin", "mamba2-attention"];

/** The recipes by name. */
export const RECIPES: ReadonlyMap<string, Recipe> = new Map(
  [
    ...MATCHED.map(([model, learningRate]) =>
      mixture(model.family, { model, learningRate, ...MATCHED_PROTOCOL })
    ),
    mixture("kda"),
    mixture("deltaproduct"),
    mixture("lfm2"),
    ...FAMILIES.map((family) => niah(family, family === "griffin" ? { learningRate: 5e-3 } : {})),
    ...FAMILIES.map((family) => mixture(family, { name: `${family}-mad`, batch: 60 }, MAD)),
    ...FAMILIES.map((family) => mixture(family, { name: `${family}-copying` }, COPYING)),
    ...(["parity", "s5"] as const).flatMap((task) => [
      ...[...FAMILIES, "rwkv7", "deltaproduct", "kda"].map((family) =>
        stateTracking(task, family, (options) => architecture(family, options))
      ),
      stateTracking(task, "deltanet-negative", negativeDeltaNet),
    ]),
    ...FAMILIES.map(text),
  ].map((recipe) => [recipe.name, recipe]),
);

/** The recipe of a name. @throws {RangeError} for an unknown one. */
export function findRecipe(name: string): Recipe {
  const recipe = RECIPES.get(name);
  if (recipe === undefined) {
    throw new RangeError(
      didYouMean("recipe", name, RECIPES.keys(), "./run train --list prints all"),
    );
  }
  return recipe;
}
