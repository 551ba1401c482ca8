import { assertEquals, assertThrows } from "@std/assert";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import {
  ACTIVATION_REFERENCE,
  ACTIVATION_SLOPE_REFERENCE,
} from "../../../kernels/activation/reference.ts";
import type { Tensor } from "../../../kernels/gpu/mod.ts";
import {
  gatedRmsNormBackward,
  type GatedRmsNormBackwardInputs,
  hasGatedRmsNormBackward,
} from "../../../kernels/norm/mod.ts";
import { gatedRmsNormBackwardReference } from "../../../kernels/norm/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

interface Case {
  tokens: number;
  channels: number;
  groups?: number;
  weights?: "shared" | "own";
  gated?: boolean;
  heads?: number;
  gateFirst?: boolean;
  activation?: ActivationKind;
}

const CASES: Case[] = [
  { tokens: 1, channels: 4, weights: "own" },
  { tokens: 5, channels: 8 },
  { tokens: 3, channels: 64, gated: true },
  { tokens: 7, channels: 12, groups: 3, heads: 3, gated: true, gateFirst: true },
  { tokens: 300, channels: 32, groups: 2, weights: "shared", gated: true },
  { tokens: 130, channels: 64, weights: "own", gated: true, heads: 4, gateFirst: true },
  { tokens: 33, channels: 48, groups: 3, weights: "own", gated: true, heads: 6, gateFirst: true },
  { tokens: 129, channels: 48, groups: 2, weights: "own", heads: 2 },
  { tokens: 65, channels: 64, weights: "shared", gated: true, heads: 2, activation: "sigmoid" },
];

type Arrays = Record<string, Float32Array>;

function makeProblem(test: Case): { arrays: Arrays; shapes: Record<string, number[]> } {
  const { tokens, channels, groups = 1, weights, gated, heads } = test;
  const row = [tokens, 1, channels];
  const shapes: Record<string, number[]> = {
    x: row,
    ...weights && { weight: [weights === "own" ? channels : channels / groups] },
    ...gated && { gate: row },
    ...heads && { values: row, skip: [heads] },
    outputGradient: row,
  };
  const arrays = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], seed) => [
      name,
      normals(seed + 1, shape.reduce((product, extent) => product * extent, 1)),
    ]),
  );
  return { arrays, shapes };
}

function expectedOf(test: Case, { gate, ...arrays }: Arrays): Record<string, Float64Array> {
  const { channels, groups = 1, gateFirst = false, activation = "silu" } = test;
  const expected = gatedRmsNormBackwardReference({
    ...arrays as unknown as Parameters<typeof gatedRmsNormBackwardReference>[0],
    gate: gate?.map(ACTIVATION_REFERENCE[activation]),
  }, { channels, groups, gateFirst, epsilon: 1e-3 });
  const slope = ACTIVATION_SLOPE_REFERENCE[activation];
  const gateGradient = expected.gateGradient.map((value, i) => value * slope(gate?.[i] ?? 0));
  return { ...expected, gateGradient };
}

for (const test of CASES) {
  testKernel(
    `gatedRmsNormBackward() equals the reference for ${JSON.stringify(test)}`,
    async () => {
      const gpu = await testGpu();
      const { arrays, shapes } = makeProblem(test);
      using scope = new DisposableStack();
      const inputs = Object.fromEntries(
        Object.entries(arrays).map((
          [name, array],
        ) => [name, scope.use(gpu.tensor(shapes[name], array))]),
      ) as unknown as GatedRmsNormBackwardInputs;
      const { groups, gateFirst, activation } = test;
      const options = {
        epsilon: 1e-3,
        ...groups && { groups },
        ...activation && { activation },
        ...gateFirst && { gateFirst },
      };
      if (!hasGatedRmsNormBackward(gpu, inputs, options)) {
        assertEquals(gpu.adapter.software, false);
        assertThrows(() => gatedRmsNormBackward(gpu, inputs, options), RangeError, "groups must");
        return;
      }
      const expected = expectedOf(test, arrays);
      using gradients = gatedRmsNormBackward(gpu, inputs, options);
      for (const name of ["x", "weight", "gate", "values", "skip"]) {
        const gradient: Tensor | undefined =
          gradients[`${name}Gradient` as keyof typeof gradients] as Tensor | undefined;
        assertEquals(gradient?.shape, shapes[name]);
        if (gradient === undefined) continue;
        assertClose(await gradient.read(), expected[`${name}Gradient`], 1e-5, name);
      }
      using parts = gatedRmsNormBackward(gpu, inputs, { ...options, inParts: true });
      for (const name of ["weightGradient", "skipGradient"] as const) {
        const [part, whole] = [parts[name], gradients[name]];
        if (part === undefined || whole === undefined) continue;
        const values = await part.read();
        const sum = new Float64Array(whole.size);
        values.forEach((value, i) => sum[i % sum.length] += value);
        assertClose(await whole.read(), sum, 1e-6, name);
      }
    },
  );
}

testKernel("gatedRmsNormBackward() refuses what does not fit", async () => {
  const gpu = await testGpu();
  const tensor = (...shape: number[]): Tensor => gpu.tensor(shape);
  const [x, outputGradient] = [tensor(2, 24), tensor(2, 24)];
  const refuse = (inputs: object, options: object, message: string): void => {
    assertThrows(
      () => gatedRmsNormBackward(gpu, { x, outputGradient, ...inputs }, options),
      RangeError,
      message,
    );
  };
  refuse({ outputGradient: tensor(3, 24) }, {}, "outputGradient must have shape [2,24]");
  refuse({ gate: tensor(2, 28) }, {}, "gate must have shape [2,24]");
  refuse({ skip: tensor(2) }, {}, "values and skip come together");
  refuse({ values: x, skip: tensor(4) }, {}, "groups must have up to 64 channels");
  refuse({}, { groups: 5 }, "groups must have up to 64 channels");
  refuse({ x: tensor(2, 68), outputGradient: tensor(2, 68) }, {}, "68 channels");
  if (gpu.adapter.software) refuse({ weight: tensor(5) }, {}, "weight must have shape [24]");
});
