/**
 * A NaN or an infinity in one element of one input, for every op and its gradients: NaN is in the results
 * where the float64 reference has it, and nowhere else. What an infinity comes to, an infinity or NaN,
 * depends on the order of sums: there a result is not a number where the reference's is none.
 */
import { assert } from "@std/assert";
import { ACTIVATION_KINDS, type Tensor } from "../../kernels/mod.ts";
import { normals, testGpu, testKernel } from "../testing.ts";
import { ADAPTERS } from "./adapters.ts";

/** Shapes of inputs, and of the gradients of outputs, by name. */
type Shapes = Readonly<Record<string, readonly number[]>>;

const [B, T, H, D] = [2, 70, 2, 8];
const ROW = [B, T, H, D];
const WIDE = [B, T, 6];
const STATE = [B, H, D, D];
const QKV = { query: ROW, key: ROW, value: ROW, outputGradient: ROW };
const STATEFUL = { ...QKV, initialState: STATE, finalStateGradient: STATE };
const SCANNED = { outputGradient: WIDE, initialState: [B, 6], finalStateGradient: [B, 6] };

/** The inputs of an op, and its options. */
interface Case {
  readonly shapes: Shapes;
  readonly options?: object;
  /** Tokens of a block whose products are made whole: a NaN may reach the others of its block. */
  readonly block?: number;
}

/** What linear attention multiplies whole. */
const BLOCK = 8;

const CASES: Readonly<Record<string, Case>> = {
  flashAttention: { shapes: QKV },
  scan: { shapes: { decay: WIDE, input: WIDE, ...SCANNED } },
  rgLru: {
    shapes: {
      ...{ input: WIDE, recurrenceGate: WIDE, inputGate: WIDE, decayParameter: [6] },
      ...SCANNED,
    },
  },
  selectiveScan: {
    shapes: {
      ...{ input: WIDE, delta: WIDE, a: [6, 4], b: [B, T, 4], c: [B, T, 4], skip: [6] },
      ...{ gate: WIDE, deltaBias: [6], initialState: [B, 6, 4], outputGradient: WIDE },
      finalStateGradient: [B, 6, 4],
    },
  },
  causalConvolution: {
    shapes: {
      ...{ x: WIDE, weight: [6, 3], bias: [6], initialTail: [B, 2, 6], outputGradient: WIDE },
    },
  },
  linearAttention: { shapes: STATEFUL, block: BLOCK },
  "linearAttention head": { shapes: { ...STATEFUL, logDecay: [B, T, H] }, block: BLOCK },
  "linearAttention channel": { shapes: { ...STATEFUL, logDecay: ROW }, block: BLOCK },
  matmul: { shapes: { a: [37, 50], b: [50, 41], outputGradient: [37, 41] } },
  rmsNorm: { shapes: { x: [70, 24], weight: [24], outputGradient: [70, 24] } },
  layerNorm: { shapes: { x: [70, 24], weight: [24], bias: [24], outputGradient: [70, 24] } },
  crossEntropy: { shapes: { logits: [9, 100], outputGradient: [9] } },
  rotary: { shapes: { x: ROW, outputGradient: ROW } },
  gradientNorm: { shapes: { x: [3000] } },
  sumTo: { shapes: { x: [300, 7] } },
  ...Object.fromEntries(
    ACTIVATION_KINDS.map((kind) => [
      `activation ${kind}`,
      { shapes: { x: [99], outputGradient: [99] }, options: { kind } },
    ]),
  ),
};

/** Elements of an input: those of a decay are below 1, those of a rate below 0. */
function elementsOf(name: string, shape: readonly number[], seed: number): Float32Array {
  const x = normals(seed, shape.reduce((product, extent) => product * extent, 1));
  if (name === "decay") return x.map((value) => 1 / (1 + Math.exp(value)));
  if (name === "logDecay") return x.map((value) => -Math.abs(value) / 4);
  if (name === "a") return x.map((value) => -Math.abs(value) - 0.1);
  return x;
}

for (const [name, { shapes, options = {}, block }] of Object.entries(CASES)) {
  testKernel(
    `a NaN or an infinity in an input of ${name} goes where the reference has it`,
    async () => {
      const gpu = await testGpu();
      const adapter = ADAPTERS[name.split(" ")[0]];
      const problems: string[] = [];
      for (const where of Object.keys(shapes)) {
        for (const bad of [NaN, Infinity, -Infinity]) {
          const arrays = Object.fromEntries(
            Object.entries(shapes).map((
              [name, shape],
              i,
            ) => [name, elementsOf(name, shape, i + 1)]),
          );
          const place = Math.floor(arrays[where].length * 0.43);
          arrays[where][place] = bad;
          const token = Math.floor(place / (arrays[where].length / (B * T)));
          using tensors = new DisposableStack();
          const inputs = Object.fromEntries(
            Object.entries(shapes).map((
              [name, shape],
            ) => [name, tensors.use(gpu.tensor(shape, arrays[name]))]),
          );
          const expected = adapter.reference(arrays, shapes, options);
          const results = Object.entries(adapter.run(gpu, inputs, options))
            .filter((entry): entry is [string, Tensor] => entry[1] !== undefined);
          const values = await gpu.read(results.map(([, tensor]) => tensors.use(tensor)));
          results.forEach(([output], i) => {
            const reference = expected[output];
            let missing = 0;
            let stray = 0;
            for (let at = 0; at < reference.length; at++) {
              const ours = values[i][at];
              const isNone = Number.isNaN(bad) ? Number.isNaN(ours) : !Number.isFinite(ours);
              if (Number.isNaN(reference[at]) && !isNone) missing++;
              const near = block !== undefined && reference.length % (B * T) === 0 &&
                Math.floor(Math.floor(at * B * T / reference.length) % T / block) ===
                  Math.floor(token % T / block);
              if (Number.isFinite(reference[at]) && !Number.isFinite(ours) && !near) stray++;
            }
            if (missing + stray > 0) {
              problems.push(
                `${bad} in ${where}: ${output} lacks ${missing} NaNs, and has ${stray} where a number is`,
              );
            }
          });
        }
      }
      assert(problems.length === 0, problems.join("\n"));
    },
  );
}
