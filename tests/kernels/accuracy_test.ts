/**
 * Errors of every op against float64, beside those of PyTorch's f32 on the same inputs: at most twice
 * as large forward, three times backward. tests/golden/accuracy.py makes PyTorch's, and prints how.
 * The last test prints the table.
 */
import { assert } from "@std/assert";
import type { Tensor } from "../../kernels/mod.ts";
import { relativeError, testGpu } from "../testing.ts";
import { ADAPTERS } from "./adapters.ts";

/** A case of accuracy.json. */
interface Case {
  readonly inputs: Record<string, { shape: number[]; seed: number; kind: string }>;
  readonly options: Record<string, unknown>;
  /** By output: PyTorch's error, and a sum of the float64 values, each times a draw. */
  readonly outputs: Record<string, { error: number; check: number }>;
}

const CASES: Record<string, Case> = JSON.parse(
  Deno.readTextFileSync(new URL("../golden/accuracy.json", import.meta.url)),
);

/** What rounding once to f32 costs: no error need be smaller. */
const ROUNDING = 3e-8;

/** As in accuracy.py: a linear congruential generator of 32 bits. */
function uniforms(seed: number, count: number): Float64Array {
  let state = (seed * 2654435761 + 12345) % 2 ** 32;
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  });
}

/** Numbers of a kind from the four uniform ones of each. */
const KINDS: Record<string, (first: number, normal: number) => number> = {
  normal: (_, normal) => normal,
  small: (_, normal) => normal / 8,
  decay: (first) => 0.5 + 0.5 * first,
  log_decay: (_, normal) => -Math.abs(normal) / 4,
  strong_log_decay: (_, normal) => -4 * Math.abs(normal),
  negative: (first) => -0.1 - 3 * first,
  share: (first) => first,
  shifted: (_, normal) => 100 + normal,
  low: (first) => -4 - first,
};

function draw(seed: number, shape: readonly number[], kind: string): Float32Array {
  const count = shape.reduce((product, extent) => product * extent, 1);
  const u = uniforms(seed, 4 * count);
  return Float32Array.from({ length: count }, (_, i) => {
    const [first, second, third, fourth] = u.subarray(4 * i, 4 * i + 4);
    return KINDS[kind](first, (first + second + third + fourth - 2) * 1.7320508075688772);
  });
}

const table: Record<string, string>[] = [];

for (const [name, { inputs, options, outputs }] of Object.entries(CASES)) {
  Deno.test(`${name} is as accurate as PyTorch in f32`, async () => {
    const gpu = await testGpu();
    const adapter = ADAPTERS[name.split(" ")[0]];
    const shapes = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [name, shape]),
    );
    const arrays: Record<string, Float32Array> = Object.fromEntries(
      Object.entries(inputs).map((
        [name, { seed, shape, kind }],
      ) => [name, draw(seed, shape, kind)]),
    );
    const tensors: Record<string, Tensor> = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [name, gpu.tensor(shape, arrays[name])]),
    );
    // The gradients of the outputs: the draws of accuracy.py, in the order of the outputs.
    Object.keys(outputs).filter((output) => !output.endsWith("Gradient")).forEach((output, i) => {
      const gradient = output === "finalState" ? "finalStateGradient" : "outputGradient";
      const shape = output === "finalState"
        ? shapes.initialState
        : output === "loss"
        ? [shapes.logits[0]]
        : name === "matmul"
        ? [shapes.a[0], shapes.b[1]]
        : name === "sumTo" || name === "gradientNorm"
        ? [1]
        : (shapes.value ?? shapes.input ?? shapes.x);
      arrays[gradient] = draw(100 + i, shape, "normal");
      tensors[gradient] = gpu.tensor(shape, arrays[gradient]);
    });
    const expected = adapter.reference(arrays, shapes, options);
    const actual = adapter.run(gpu, tensors, options);
    const names = Object.keys(outputs).filter((output) => output in expected);
    const values = await gpu.read(names.map((output) => actual[output]!));
    const problems: string[] = [];
    names.forEach((output, i) => {
      const reference = expected[output];
      const { error: theirs, check } = outputs[output];
      const weights = draw(999, [reference.length], "normal");
      let sum = 0;
      let size = 0;
      for (let at = 0; at < reference.length; at++) {
        sum += reference[at] * weights[at];
        size += (reference[at] * weights[at]) ** 2;
      }
      if (!(Math.abs(sum - check) <= 1e-6 * Math.sqrt(size))) {
        problems.push(`${output}: the reference computes something else than PyTorch in float64`);
      }
      const ours = relativeError(values[i], reference);
      const bound = output.endsWith("Gradient") ? 3 : 2;
      const ratio = ours / Math.max(theirs, ROUNDING);
      table.push({
        op: name,
        output,
        ours: ours.toExponential(1),
        PyTorch: theirs.toExponential(1),
        ratio: ratio.toFixed(1),
      });
      if (!(ratio <= bound)) {
        problems.push(`${output}: error ${ours}, PyTorch's ${theirs}, over ${bound} times`);
      }
    });
    for (const tensor of [...Object.values(tensors), ...Object.values(actual)]) {
      tensor?.[Symbol.dispose]();
    }
    assert(problems.length === 0, problems.join("\n"));
  });
}

Deno.test("the table of errors beside PyTorch's is printed", () => {
  assert(table.length >= Object.keys(CASES).length);
  console.table(table.toSorted((a, b) => Number(b.ratio) - Number(a.ratio)));
});
