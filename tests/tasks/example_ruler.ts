import { clusteredProportion, type Estimate, type Row } from "../../tasks/mod.ts";
import { RULER_TASKS } from "../../tasks/mod.ts";

/** Models of the kinds that RULER is asked of: how far each reaches, and what its state takes. */
export const RULER_MODELS = [
  {
    model: "transformer-2.7b",
    family: "llama",
    parameters: 2_700_000_000,
    train_length: 2048,
    fall: 6,
    template: "base",
    state: (length: number) => 163_840 * length,
  },
  {
    model: "mamba2-2.7b",
    family: "mamba2",
    parameters: 2_700_000_000,
    train_length: 2048,
    fall: 1.6,
    template: "base",
    state: () => 85_983_232,
  },
  {
    model: "recurrentgemma-2b-it",
    family: "recurrent-gemma",
    parameters: 2_680_000_000,
    train_length: 8192,
    fall: 1.2,
    template: "chat",
    window: 2048,
    state: (length: number) => 26_624 * Math.min(length, 2048) + 1_000_000,
  },
] as const;

/** Lengths from 1K to 16K. */
export const RULER_LENGTHS = [1024, 2048, 4096, 8192, 16_384];
/** Haystack, key and value of the needles. */
export const FORMATS = ["noise", "essay", "needle"].flatMap((haystack) =>
  ["word", "uuid"].flatMap((key) => ["number", "uuid"].map((value) => [haystack, key, value]))
);
/** The paper's depths. */
export const FORMAT_DEPTHS = [0, 0.2, 0.4, 0.5, 0.6, 0.8, 1];

const BANDS = [0, 0.2, 0.4, 0.6, 0.8, 1];

/** Rows of the shape of RULER's 13 tasks, asked of three models with three seeds. */
export function rulerRows(): Row[] {
  const uniform = generator(1);
  return RULER_MODELS.flatMap((model) =>
    RULER_LENGTHS.flatMap((length) =>
      RULER_TASKS.flatMap((task, number) =>
        [0, 1, 2].flatMap((seed) => {
          const share = shareOf(model, length, number / 20);
          const cell = cellOf(model, length, { task, seed });
          const needle = task.startsWith("niah");
          return [
            ...scored(cell, "accuracy", share, uniform),
            ...(needle
              ? BANDS.slice(1).flatMap((high, band) =>
                scored(
                  { ...cell, samples: 8 },
                  `accuracy@${BANDS[band]}-${high}`,
                  Math.max(0, share - 0.1 * (band === 2 ? 1 : 0)),
                  uniform,
                )
              )
              : []),
            { ...cell, metric: "chance", value: 0 },
            ...("window" in model && needle
              ? [{ ...cell, metric: "window_law", value: Math.min(1, model.window / length) }]
              : []),
          ];
        })
      )
    )
  );
}

/** Rows of the shape of the paper's table 4: formats at fixed depths, at two lengths. */
export function gridRows(): Row[] {
  const uniform = generator(2);
  return RULER_MODELS.slice(1).flatMap((model) =>
    [2048, 4096].flatMap((length) =>
      FORMATS.flatMap(([haystack, key, value], number) =>
        FORMAT_DEPTHS.flatMap((depth) =>
          [0, 1, 2].flatMap((seed) =>
            scored(
              {
                ...cellOf(model, length, { task: `niah_${haystack}_${key}_${value}`, seed }),
                depth,
              },
              "accuracy",
              shareOf(model, length, number / 15) * (1 - depth * (1 - depth)),
              uniform,
            )
          )
        )
      )
    )
  );
}

type Model = (typeof RULER_MODELS)[number];
type Cell = Omit<Row, "metric" | "value">;

function cellOf(
  { model, family, parameters, train_length, template, state }: Model,
  length: number,
  coordinates: { readonly task: string; readonly seed: number },
): Cell {
  const { task, seed } = coordinates;
  return {
    model,
    family,
    parameters,
    train_length,
    task,
    template,
    length,
    seed,
    state_bytes: state(length),
    samples: 40,
    prefill_ms: length * 0.2 + (family === "llama" ? length ** 2 / 5e4 : 0),
    step_ms: 30 + (family === "llama" ? length / 500 : 0),
    peak_bytes: 6e9 + 1e5 * length,
    adapter: "NVIDIA L4",
    version: "0.1.0",
  };
}

function shareOf({ train_length, fall }: Model, length: number, hardness: number): number {
  const past = Math.max(0, Math.log2(length / train_length));
  return Math.max(0, (1 - hardness / 2) * 0.98 * Math.exp(-past * fall / 2));
}

function scored(cell: Cell, metric: string, share: number, uniform: () => number): Row[] {
  const right = Array.from({ length: cell.samples }, () => Number(uniform() < share));
  const { value, low, high }: Estimate = clusteredProportion(right, right.map(() => 1));
  return [{ ...cell, metric, value, ci_low: low, ci_high: high }];
}

function generator(seed: number): () => number {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}
