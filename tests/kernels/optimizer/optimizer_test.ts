import { assertEquals, assertThrows } from "@std/assert";
import { adamW, adamWAll, adamWSchedule, gradientNorm } from "../../../kernels/optimizer/mod.ts";
import { adamWReference, gradientNormReference } from "../../../kernels/optimizer/reference.ts";
import type { AdamWParameter } from "../../../kernels/optimizer/mod.ts";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

for (const [size, masked] of [[1, false], [63, true], [1001, false], [4099, true]] as const) {
  testKernel(
    `adamW() follows the reference for three clipped steps of ${size} elements`,
    async () => {
      const gpu = await testGpu();
      const initial = normals(1, size);
      const mask = initial.map((value) => masked && value < 0 ? 0 : 1);
      const weightDecay = mask.map((value) => value * 0.25);
      const state = {
        parameter: Float64Array.from(initial),
        firstMoment: new Float64Array(size),
        secondMoment: new Float64Array(size),
      };
      using parameter = gpu.tensor([size], initial);
      using firstMoment = gpu.tensor([size]);
      using secondMoment = gpu.tensor([size]);
      using maskTensor = gpu.tensor([size], mask);
      const decayMask = masked ? maskTensor : undefined;
      for (let step = 1; step <= 3; step++) {
        const data = normals(10 + step, size, step);
        const norm = gradientNormReference([data]);
        const maximum = [0.5 * norm, 2 * norm, 0.1 * norm][step - 1];
        const clipped = data.map((value) => value * Math.min(1, maximum / norm));
        const options = { learningRate: 0.1 / step, beta1: 0.8, beta2: 0.9, epsilon: 1e-6, step };
        adamWReference(state, clipped, { ...options, weightDecay });
        using gradient = gpu.tensor([size], data);
        const { scale } = gradientNorm(gpu, { gradients: [gradient] }, { maximum });
        adamW(
          gpu,
          { parameter, gradient, firstMoment, secondMoment, gradientScale: scale, decayMask },
          { ...options, weightDecay: 0.25 },
        );
      }
      const [p, m, v] = await gpu.read([parameter, firstMoment, secondMoment]);
      assertClose(p, state.parameter, 1e-5, "parameter");
      assertClose(m, state.firstMoment, 1e-5, "firstMoment");
      assertClose(v, state.secondMoment, 1e-5, "secondMoment");
    },
  );
}

for (const sizes of [[1], [3, 70_001, 64, 0, 2], [1_100_003, 5]]) {
  testKernel(
    `gradientNorm() sums the squares of tensors of ${sizes} elements, and nothing beside`,
    async () => {
      const data = sizes.map((size, i) => normals(i, size));
      for (const [tiling, gpu] of await testTilings()) {
        // Poisoned padding: a tensor that is made empty and then written.
        const gradients = sizes.map((size, i) => {
          const tensor = gpu.empty([size]);
          if (size > 0) tensor.write(data[i]);
          return tensor;
        });
        const expected = gradientNormReference(data);
        const [low, high] = [0.5, 2].map((factor) =>
          gradientNorm(gpu, { gradients }, { maximum: factor * expected })
        );
        const [norm, scale, again, one] = await gpu.read([
          low.norm,
          low.scale,
          high.norm,
          high.scale,
        ]);
        assertClose(norm, [expected], 1e-6, `norm ${tiling}`);
        assertClose(scale, [0.5], 1e-6, `scale ${tiling}`);
        assertEquals(again, norm);
        assertEquals([...one], [1]);
        for (const tensor of gradients) tensor[Symbol.dispose]();
      }
    },
  );
}

testKernel("gradientNorm() of NaN shows NaN", async () => {
  const gpu = await testGpu();
  using gradient = gpu.tensor([5], [1, 2, NaN, 3, 4]);
  const { norm } = gradientNorm(gpu, { gradients: [gradient] }, { maximum: 1 });
  assertEquals([...await norm.read()], [NaN]);
});

testKernel("adamW() refuses a moment of another shape and a step of 0", async () => {
  const gpu = await testGpu();
  using parameter = gpu.tensor([4]);
  using gradient = gpu.tensor([4]);
  using firstMoment = gpu.tensor([4]);
  using secondMoment = gpu.tensor([5]);
  const inputs = { parameter, gradient, firstMoment, secondMoment };
  assertThrows(
    () => adamW(gpu, inputs, { learningRate: 1, step: 1 }),
    RangeError,
    "Cannot run adamW() as secondMoment must have shape [4]: current shape is [5]",
  );
  assertThrows(
    () => adamW(gpu, { ...inputs, secondMoment: firstMoment }, { learningRate: 1, step: 0 }),
    RangeError,
    "Cannot run adamW() as step must be an integer from 1: current step is 0",
  );
});

testKernel("adamWAll() has the bits of adamW() for each of nine parameters", async () => {
  const gpu = await testGpu();
  using scope = new DisposableStack();
  const make = (seed: number, size: number): Tensor =>
    scope.use(gpu.tensor([size], normals(seed, size).map(Math.abs)));
  const sizes = [5, 64, 1, 300, 0, 7, 1025, 4, 8];
  const parametersOf = (): (AdamWParameter & { decays: boolean })[] =>
    sizes.map((size, i) => ({
      parameter: make(i, size),
      gradient: make(20 + i, size),
      firstMoment: make(40 + i, size),
      secondMoment: make(60 + i, size),
      decays: i % 3 > 0,
    }));
  const [together, alone] = [parametersOf(), parametersOf()];
  using gradientScale = gpu.tensor([1], [0.5]);
  const options = { learningRate: 0.1, weightDecay: 0.2, step: 3 };
  adamWAll(gpu, { parameters: together, gradientScale }, options);
  for (const { decays, ...state } of alone) {
    adamW(gpu, { ...state, gradientScale }, { ...options, weightDecay: decays ? 0.2 : 0 });
  }
  for (const name of ["parameter", "firstMoment", "secondMoment"] as const) {
    const got = await gpu.read(together.map((each) => each[name]));
    assertEquals(got, await gpu.read(alone.map((each) => each[name])), name);
  }
  const again = parametersOf();
  using schedule = gpu.tensor([3], adamWSchedule(options));
  const unused = { learningRate: 0, step: 1 };
  adamWAll(gpu, { parameters: again, gradientScale, schedule }, unused);
  const scheduled = await gpu.read(again.map(({ parameter }) => parameter));
  const given = await gpu.read(together.map(({ parameter }) => parameter));
  assertEquals(scheduled, given, "with a schedule");
  const [{ parameter }] = together;
  assertThrows(
    () => adamWAll(gpu, { parameters: [{ ...together[1], parameter }] }, options),
    RangeError,
    "parameters[0].gradient must have shape [5]",
  );
});
