import { measureCopyBandwidth, timeWork } from "../../kernels/gpu/mod.ts";
import { WEIGHT_TYPES, weightBytes as bytesOfWeights, type WeightType } from "../../models/mod.ts";
import type { ModelSubject } from "../subjects/model_subject.ts";
import type { SubjectCard } from "../subject.ts";

/** What a model costs. */
export interface ModelStatistics {
  /** The adapter's name. */
  readonly adapter: string;
  /** Bytes of the weights on the GPU. */
  readonly weightBytes: number;
  /** Bytes that the weights would take in each form, by its name. */
  readonly forms: Readonly<Record<WeightType, number>>;
  /** Tokens that are read at once. */
  readonly segmentTokens: number;
  /** Bytes that a copy reads and writes a second. */
  readonly copyBytesPerSecond: number;
  /** By length, in tokens. */
  readonly lengths: readonly LengthStatistics[];
}

/** What a model costs at a length. */
export interface LengthStatistics {
  /** Tokens read before. */
  readonly length: number;
  /** Bytes of the state behind them. */
  readonly stateBytes: number;
  /** Milliseconds to read them. */
  readonly prefillMilliseconds: number;
  /** Milliseconds for one more token. */
  readonly stepMilliseconds: number;
  /**
   * The weights (of an embedding apart from the head, a row) and the state, read once in a step, over
   * what a copy moves in that time.
   */
  readonly bandwidthShare: number;
}

/**
 * Measures what a model costs.
 *
 * @throws {RangeError} where a length needs more memory than there is.
 */
export async function measureStatistics(
  subject: ModelSubject,
  lengths: readonly number[],
): Promise<ModelStatistics> {
  const { model } = subject;
  const weightBytes = [...model.parameters.values()]
    .reduce((sum, { bytes }) => sum + bytes, 0);
  // Of an embedding that is not the head too, a step reads one row.
  const { tiedHead } = model.configuration;
  const embedding = model.parameters.get("embedding.weight")!;
  const readBytes = weightBytes - (tiedHead ? 0 : embedding.bytes);
  const copyBytesPerSecond = await measureCopyBandwidth(model.gpu);
  const measured: LengthStatistics[] = [];
  for (const length of lengths) {
    model.checkRoom(length);
    await readTokens(subject, Math.min(length, subject.segmentTokens));
    const prefillMilliseconds = await readTokens(subject, length);
    const stepMilliseconds = await subject.stepMilliseconds(length);
    const stateBytes = model.stateBytes(length);
    measured.push({
      length,
      stateBytes,
      prefillMilliseconds,
      stepMilliseconds,
      bandwidthShare: (readBytes + stateBytes) / (stepMilliseconds / 1000) / copyBytesPerSecond,
    });
  }
  const forms = Object.fromEntries(
    WEIGHT_TYPES.map((type) => [type, bytesOfWeights(model.configuration, type)]),
  ) as Record<WeightType, number>;
  const adapter = model.gpu.adapter.name;
  const { segmentTokens } = subject;
  return { adapter, weightBytes, forms, segmentTokens, copyBytesPerSecond, lengths: measured };
}

async function readTokens({ model }: ModelSubject, length: number): Promise<number> {
  const { vocabulary } = model.configuration;
  const tokens = Uint32Array.from({ length }, (_, t) => t % vocabulary);
  using read = new DisposableStack();
  return await timeWork(model.gpu, () => {
    const { logits, state } = model.prefill(tokens);
    read.use(logits);
    read.use(state);
  });
}

/** The figures as a person reads them. */
export function statisticsTable(card: SubjectCard, statistics: ModelStatistics): string {
  const head = [
    ["model", `${card.name} (${card.family})`],
    ["parameters", card.parameters.toLocaleString("en-US")],
    ["weights", bytes(statistics.weightBytes)],
    ...Object.entries(statistics.forms).map(([form, weights]) => [
      `in ${form}`,
      `${bytes(weights)}; with the state ${
        statistics.lengths.map(({ length, stateBytes }) =>
          `${bytes(weights + stateBytes)} at ${length}`
        ).join(", ")
      }`,
    ]),
    ["segment", `${statistics.segmentTokens} tokens at once`],
    ["adapter", statistics.adapter],
    ["copy", `${bytes(statistics.copyBytesPerSecond)}/s, read and written by a kernel`],
  ];
  const table = [
    ["length", "state", "prefill", "tokens/s", "step", "of copy bandwidth"],
    ...statistics.lengths.map((row) => [
      String(row.length),
      bytes(row.stateBytes),
      `${row.prefillMilliseconds.toFixed(1)} ms`,
      (row.length / row.prefillMilliseconds * 1000).toFixed(0),
      `${row.stepMilliseconds.toFixed(2)} ms`,
      `${(100 * row.bandwidthShare).toFixed(1)} %`,
    ]),
  ];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return [
    ...head.map(([name, value]) => `${name.padEnd(10)}  ${value}`),
    "",
    ...table.map((row) => row.map((cell, i) => cell.padStart(widths[i])).join("  ")),
  ].join("\n");
}

function bytes(count: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${(count / 1000 ** power).toPrecision(3)} ${units[power]}`;
}
