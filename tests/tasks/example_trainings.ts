import { type Row, wilson } from "../../tasks/mod.ts";

/** What three trainings of a variant score at the training length, and how they fall from there. */
const VARIANTS = [
  { name: "steady", family: "gla", parameters: 20_000, start: [0.99, 0.98, 0.97], fall: 0.1 },
  { name: "moody", family: "mamba2", parameters: 20_500, start: [0.99, 0.05, 0.98], fall: 0.2 },
  { name: "lost", family: "griffin", parameters: 60_000, start: [0.2, 0.06, 0.05], fall: 0.01 },
];

const SAMPLES = 64;

/**
 * Rows of a sweep that trained its models: three variants of three trainings each, on mqar and on
 * parity, of which one learns, one learns in two trainings of three, and one in none.
 */
export function trainingRows(): Row[] {
  return VARIANTS.flatMap(({ name, family, parameters, start, fall }) =>
    start.flatMap((first, training) =>
      ["mqar", "parity"].flatMap((task) =>
        [64, 128, 256].flatMap((length, octave) =>
          [0, 1, 2].flatMap((seed): Row[] => {
            const chance = task === "mqar" ? 1 / 24 : 0.5;
            const share = chance + (1 - chance) * Math.max(0, first - fall * octave);
            const { value, low, high } = wilson(Math.round(share * SAMPLES) / SAMPLES, SAMPLES);
            const common = {
              model: `${name}-s${training + 1}`,
              variant: name,
              family,
              parameters,
              state_bytes: 4096,
              train_length: 64,
              train_seed: training + 1,
              train_tokens: 1_000_000,
              learning_rate: 0.003,
              task,
              length,
              ...(task === "mqar" ? { load: 4 } : {}),
              seed,
              samples: SAMPLES,
              prefill_ms: 1,
              step_ms: 1,
              peak_bytes: 1000,
              adapter: "none",
              version: "0",
            };
            const right = { ...common, metric: "accuracy", value, ci_low: low, ci_high: high };
            const bands = ["0-15", "16-31", "32-63"].map((distance): Row => ({
              ...right,
              metric: "accuracy_at_distance",
              distance,
            }));
            return [
              right,
              ...bands,
              { ...common, metric: "chance", value: chance },
              ...(task === "mqar" ? [{ ...common, metric: "guess", value: 0.25 }] : []),
              ...(length > 64
                ? [{ ...common, metric: "distance_law", value: 1 - octave / 4 }]
                : []),
            ];
          })
        )
      )
    )
  );
}
