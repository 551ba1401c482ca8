import { type Row, wilson } from "../../tasks/mod.ts";

const MODELS = [
  { model: "transformer", family: "transformer", parameters: 22_700, fall: 1.1, kv: true },
  { model: "mamba2", family: "mamba2", parameters: 20_200, fall: 0.5, kv: false },
  { model: "gla", family: "gla", parameters: 24_900, fall: 0.7, kv: false },
  { model: "griffin", family: "griffin", parameters: 37_600, fall: 0.9, kv: false, window: 32 },
  {
    model: "mamba2-attention",
    family: "mamba2-attention",
    parameters: 24_300,
    fall: 0.3,
    kv: true,
  },
];

const TASKS = [
  { task: "mqar", load: 4, chance: 0.25, hard: 0.6 },
  { task: "induction", chance: 1 / 16, hard: 1 },
  { task: "selective-copying", load: 8, chance: 1 / 16, hard: 2 },
  { task: "passkey", chance: 1 / 16, hard: 0.8, depths: [0, 0.25, 0.5, 0.75, 1] },
];

/** Rows of the shape of a real sweep: five models, five tasks, six lengths, three seeds. */
export function exampleRows(): Row[] {
  const rows: Row[] = [];
  for (const { model, family, parameters, fall, kv, window } of MODELS) {
    for (const [octave, length] of [64, 128, 256, 512, 1024, 2048].entries()) {
      const common = {
        model,
        family,
        parameters,
        train_length: 64,
        length,
        state_bytes: kv ? 256 * length + 4096 : 16_384,
        samples: 32,
        prefill_ms: 0.4 + length * 0.01 + (kv ? length ** 2 / 4e5 : 0),
        step_ms: 1.5 + (kv ? length / 2000 : 0),
        peak_bytes: 500_000 + 4000 * length,
        adapter: "llvmpipe (LLVM 15.0.6, 256 bits)",
        version: "0.1.0",
      };
      for (const { task, load, chance, hard, depths = [undefined] } of TASKS) {
        if (family === "griffin" && task === "selective-copying") continue;
        for (const depth of depths) {
          for (const seed of [0, 1, 2]) {
            const lost = Math.min(1, (octave * fall * hard * (1.2 - (depth ?? 0.6))) / 4);
            const wobble = (((seed * 7 + octave * 3) % 5) - 2) / 100;
            const right = Math.round(
              160 * Math.min(1, Math.max(chance, 1 - lost * (1 - chance) + wobble)),
            );
            const { value, low, high } = wilson(right / 160, 96);
            const cell = { ...common, task, load, depth, seed };
            rows.push({ ...cell, metric: "accuracy", value, ci_low: low, ci_high: high });
            if (task === "induction") {
              for (const [band, low] of [0, 0.2, 0.4, 0.6, 0.8].entries()) {
                const share = Math.max(0, value - (4 - band) * octave / 50);
                const { low: ci_low, high: ci_high } = wilson(share, 7);
                const metric = `accuracy@${low}-${[0.2, 0.4, 0.6, 0.8, 1][band]}`;
                rows.push({ ...cell, samples: 7, metric, value: share, ci_low, ci_high });
              }
            }
            rows.push({ ...cell, metric: "chance", value: chance });
            if (window !== undefined) {
              const seen = Math.min(1, window * 2 / length);
              rows.push({ ...cell, metric: "window_law", value: seen + (1 - seen) * chance });
            }
          }
        }
      }
      for (const seed of [0, 1, 2]) {
        const cell = { ...common, task: "text", seed };
        const grown = 1 + (fall > 1 ? octave ** 2 / 3 : -0.02 * octave) + seed / 50;
        const at = (factor: number) => ({
          value: 6 * factor,
          ci_low: 5.7 * factor,
          ci_high: 6.3 * factor,
        });
        rows.push({ ...cell, metric: "perplexity", ...at(grown) });
        for (let low = 0, width = 16; low < length; low += width, width = low) {
          const position = Math.log2(low + width) - 6;
          const factor = position > 0 && fall > 1 ? 1 + position ** 2 / 3 : 1 - position / 10;
          rows.push({ ...cell, metric: `perplexity@${low}-${low + width - 1}`, ...at(factor) });
        }
      }
    }
  }
  return rows;
}

/** Rows but for what they cost, and when and from where they ran, as the CSV has them. */
export function withoutCosts(rows: readonly Row[]): unknown[] {
  const costs = new Set(["prefill_ms", "step_ms", "peak_bytes", "seconds", "started", "commit"]);
  return rows.map((row) =>
    JSON.parse(JSON.stringify(row, (key, value) => costs.has(key) ? undefined : value))
  );
}
