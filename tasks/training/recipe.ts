import { architecture, type ModelConfiguration } from "../../models/mod.ts";

/** A task of a recipe's mixture. */
export interface RecipeTask {
  /** The task's name in the registry. */
  readonly name: string;
  /** Its options: vocabulary, layout, load. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** How a model is trained, as plain data: the same recipe and seed give the same loss curve. */
export interface Recipe {
  /** The recipe's name, which the model that it makes bears too. */
  readonly name: string;
  /** The model. */
  readonly model: ModelConfiguration;
  /** The tasks; each batch holds as many sequences of each. */
  readonly tasks: readonly RecipeTask[];
  /** Length of the training sequences in tokens; every other batch or so is half as long. */
  readonly length: number;
  /** Sequences a step, over all tasks. */
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
  /** Seed of the initial values and of the data. */
  readonly seed: number;
}

/** Momenta of AdamW, the largest gradient norm and the weight decay; the same in every recipe. */
export const OPTIMIZER = {
  beta1: 0.9,
  beta2: 0.98,
  epsilon: 1e-8,
  weightDecay: 0.01,
  gradientNorm: 1,
} as const;

/** The vocabulary of 64 that the synthetic tasks share, so that one model can learn them all. */
export const SHARED_TASKS: Readonly<Record<string, RecipeTask>> = {
  mqar: {
    name: "mqar",
    options: { vocabulary: 64, pairs: 4, keys: [16, 39], values: [40, 63], taskToken: 1 },
  },
  induction: {
    name: "induction",
    options: { vocabulary: 64, symbols: [16, 31], mark: 5, taskToken: 2 },
  },
  "selective-copying": {
    name: "selective-copying",
    options: { vocabulary: 64, items: 8, symbols: [16, 31], mark: 6, taskToken: 3 },
  },
  passkey: {
    name: "passkey",
    options: {
      vocabulary: 64,
      keys: [16, 31],
      values: [40, 55],
      fillers: [32, 39],
      taskToken: 4,
    },
  },
};

/** Real text, byte by byte. */
export const TEXT_TASK: RecipeTask = { name: "text", options: {} };

function mixture(
  family: string,
  overrides: Partial<Recipe> = {},
  tasks: readonly RecipeTask[] = Object.values(SHARED_TASKS),
): Recipe {
  return {
    name: `${family}-mixture`,
    model: architecture(family, { vocabulary: 64, width: 32 }),
    tasks,
    length: 64,
    batch: 64,
    learningRate: 3e-3,
    warmupSteps: 50,
    firstTaskSteps: 0,
    targetAccuracy: 0.97,
    steps: 6000,
    seed: 1,
    ...overrides,
  };
}

function text(family: string): Recipe {
  return {
    name: `${family}-text`,
    model: architecture(family, { vocabulary: 256, width: 64 }),
    tasks: [TEXT_TASK],
    length: 256,
    batch: 16,
    learningRate: 3e-3,
    warmupSteps: 50,
    firstTaskSteps: 0,
    targetAccuracy: 1,
    steps: 500,
    seed: 1,
  };
}

const FAMILIES = ["transformer", "mamba2", "gla", "griffin", "mamba2-attention"];

/** The recipes by name. */
export const RECIPES: ReadonlyMap<string, Recipe> = new Map(
  [
    mixture("transformer", { firstTaskSteps: 350 }),
    mixture("mamba2"),
    mixture("gla"),
    mixture("griffin", { learningRate: 5e-3 }),
    mixture("mamba2-attention"),
    ...FAMILIES.map(text),
  ].map((recipe) => [recipe.name, recipe]),
);

/** The recipe of a name. @throws {RangeError} where there is none, with those there are. */
export function findRecipe(name: string): Recipe {
  const recipe = RECIPES.get(name);
  if (recipe === undefined) {
    throw new RangeError(
      `Cannot find the recipe "${name}": recipes are ${[...RECIPES.keys()].join(", ")}`,
    );
  }
  return recipe;
}
