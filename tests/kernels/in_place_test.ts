/** Steps that overwrite the state that they are given have the bits of those that leave it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  causalConvolutionStep,
  causalConvolutionSteps,
  deltaRuleRecurrent,
  deltaRuleStep,
  type Gpu,
  linearAttentionStep,
  mamba2Inputs,
  rgLruStep,
  rwkv7Step,
  scanStep,
  selectiveScanStep,
  type Tensor,
} from "../../kernels/mod.ts";
import { normals, testGpu, testKernel } from "../testing.ts";

type Result = Readonly<Record<string, Tensor>>;
type Make = (seed: number, ...shape: number[]) => Tensor;
type Step = (gpu: Gpu, make: Make, state: Tensor, inPlace: boolean) => Result;

/** Each step with the shape of its state, and the name of the state after it. */
const STEPS: Readonly<Record<string, readonly [shape: number[], after: string, step: Step]>> = {
  causalConvolutionStep: [[2, 3, 70], "finalTail", (gpu, make, tail, inPlace) => {
    const inputs = { x: make(1, 2, 1, 70), weight: make(2, 70, 4), bias: make(3, 70), tail };
    const options = { activation: "silu", inPlace } as const;
    const { output, finalTail } = causalConvolutionStep(gpu, inputs, options);
    return { output, finalTail };
  }],
  causalConvolutionSteps: [[1, 2, 9], "finalTail", (gpu, make, tail, inPlace) => {
    const other = { x: make(1, 1, 1, 5), weight: make(2, 5, 3), tail: make(3, 1, 2, 5) };
    const own = { x: make(4, 1, 1, 9), weight: make(5, 9, 3), tail };
    const [first, second] = causalConvolutionSteps(gpu, [other, own], { inPlace });
    return { first: first.output, output: second.output, finalTail: second.finalTail };
  }],
  linearAttentionStep: [[2, 4, 6, 8], "finalState", (gpu, make, state, inPlace) => {
    const [query, key, value] = [make(1, 2, 1, 2, 6), make(2, 2, 1, 2, 6), make(3, 2, 1, 4, 8)];
    const inputs = { query, key, value, bonus: make(4, 4, 6), state };
    const { output, finalState } = linearAttentionStep(gpu, inputs, { inPlace });
    return { output, finalState };
  }],
  deltaRuleStep: [[1, 4, 6, 8], "finalState", (gpu, make, state, inPlace) => {
    const [query, key, value] = [make(1, 1, 1, 2, 6), make(2, 1, 1, 2, 6), make(3, 1, 1, 4, 8)];
    const inputs = { query, key, value, beta: make(4, 1, 1, 4), state };
    const { output, finalState } = deltaRuleStep(gpu, inputs, { inPlace, unitLength: 1e-6 });
    return { output, finalState };
  }],
  deltaRuleRecurrent: [[1, 2, 6, 8], "finalState", (gpu, make, initialState, inPlace) => {
    const [query, key, value] = [make(1, 1, 3, 2, 6), make(2, 1, 3, 2, 6), make(3, 1, 3, 2, 8)];
    const inputs = { query, key, value, beta: make(4, 1, 3, 2), initialState };
    const { output, finalState } = deltaRuleRecurrent(gpu, inputs, { inPlace });
    return { output, finalState };
  }],
  rwkv7Step: [[2, 2, 6, 8], "finalState", (gpu, make, state, inPlace) => {
    const [receptance, logDecay, key, a, b] = [1, 2, 3, 4, 5].map((seed) => make(seed, 2, 1, 2, 6));
    const inputs = { receptance, logDecay, key, value: make(6, 2, 1, 2, 8), a, b, state };
    const { output, finalState } = rwkv7Step(gpu, inputs, { inPlace });
    return { output, finalState };
  }],
  scanStep: [[2, 70], "finalState", (gpu, make, state, inPlace) => {
    const [decay, input] = [make(1, 2, 1, 70), make(2, 2, 1, 70)];
    return scanStep(gpu, { decay, input, state }, { inPlace });
  }],
  rgLruStep: [[2, 5], "finalState", (gpu, make, state, inPlace) => {
    const [input, recurrenceGate, inputGate] = [1, 2, 3].map((seed) => make(seed, 2, 1, 5));
    const inputs = { input, recurrenceGate, inputGate, decayParameter: make(4, 5), state };
    return rgLruStep(gpu, inputs, { inPlace });
  }],
  selectiveScanStep: [[2, 5, 6], "finalState", (gpu, make, state, inPlace) => {
    const [input, delta, gate] = [1, 2, 3].map((seed) => make(seed, 2, 1, 5));
    const [b, c] = [4, 5].map((seed) => make(seed, 2, 1, 6));
    const inputs = { input, delta, a: make(6, 5, 6), b, c, skip: make(7, 5), gate, state };
    const options = { deltaSoftplus: true, logRates: true, inPlace };
    const { output, finalState } = selectiveScanStep(gpu, inputs, options);
    return { output, finalState };
  }],
  mamba2Inputs: [[2, 3, 10], "finalTail", (gpu, make, initialTail, inPlace) => {
    const heads = { stepBias: make(3, 2), decay: make(4, 2) };
    const inputs = { x: make(1, 2, 1, 15), weight: make(2, 10, 4), initialTail, ...heads };
    const { values, input, key, query, logDecay, finalTail } = mamba2Inputs(gpu, inputs, {
      headDim: 3,
      inPlace,
    });
    return { values, input, key, query, logDecay, finalTail };
  }],
};

for (const [name, [shape, after, step]] of Object.entries(STEPS)) {
  testKernel(`${name}() in place has the bits of one that leaves its state`, async () => {
    const gpu = await testGpu();
    using scope = new DisposableStack();
    const make: Make = (seed, ...shape) =>
      scope.use(gpu.tensor(shape, normals(seed, shape.reduce((a, b) => a * b))));
    const [state, overwritten] = [make(9, ...shape), make(9, ...shape)];
    const left = step(gpu, make, state, false);
    const inPlace = step(gpu, make, overwritten, true);
    for (const tensor of [...Object.values(left), ...Object.values(inPlace)]) scope.use(tensor);
    assert(inPlace[after].allocation === overwritten.allocation);
    assert(left[after].allocation !== state.allocation);
    const names = Object.keys(left);
    const expected = await gpu.read(names.map((each) => left[each]));
    const got = await gpu.read(names.map((each) => inPlace[each]));
    assertEquals(got, expected);
    assertEquals(await state.read(), normals(9, state.size));
  });
}

testKernel("mamba2Inputs() of several tokens leaves its tail", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([1, 2, 15]);
  using weight = gpu.tensor([10, 4]);
  using initialTail = gpu.tensor([1, 3, 10]);
  using heads = gpu.tensor([2]);
  const inputs = { x, weight, initialTail, stepBias: heads, decay: heads };
  assertThrows(
    () => mamba2Inputs(gpu, inputs, { headDim: 3, inPlace: true }),
    RangeError,
    "but for one token with an initialTail",
  );
});
