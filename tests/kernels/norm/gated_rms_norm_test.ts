import { assertThrows } from "@std/assert";
import type { ActivationKind } from "../../../kernels/activation/mod.ts";
import { ACTIVATION_REFERENCE } from "../../../kernels/activation/reference.ts";
import { gatedRmsNorm } from "../../../kernels/norm/mod.ts";
import { gatedRmsNormReference } from "../../../kernels/norm/reference.ts";
import { assertClose, normals, testGpu, testKernel, testTilings } from "../../testing.ts";

interface Case {
  tokens: number;
  channels: number;
  groups?: number;
  weights?: "shared" | "own";
  gates?: number;
  start?: number;
  heads?: number;
  gateFirst?: boolean;
  activation?: ActivationKind;
}

const CASES: Case[] = [
  { tokens: 1, channels: 7, weights: "own" },
  { tokens: 5, channels: 64, groups: 4, weights: "shared", gates: 64 },
  { tokens: 33, channels: 48, groups: 3, weights: "own", gates: 150, heads: 6, gateFirst: true },
  {
    tokens: 9,
    channels: 30,
    groups: 2,
    weights: "own",
    gates: 41,
    start: 3,
    activation: "sigmoid",
  },
  {
    tokens: 700,
    channels: 48,
    groups: 3,
    weights: "own",
    gates: 152,
    start: 4,
    heads: 6,
    gateFirst: true,
  },
  { tokens: 9, channels: 32, groups: 4, weights: "shared", gates: 32, heads: 2 },
  { tokens: 3, channels: 256, gates: 640, heads: 4, start: 8, gateFirst: true },
  { tokens: 2, channels: 1024, weights: "own", gates: 1024, heads: 2 },
];

for (
  const { tokens, channels, groups = 1, weights, gates, start = 0, heads, ...options } of CASES
) {
  const { gateFirst = false, activation = "silu" } = options;
  testKernel(
    `gatedRmsNorm() equals the reference for ${tokens} × ${channels}, ${groups} groups, ${heads} skips, gate ${
      gates === undefined ? "none" : gateFirst ? "first" : "last"
    }`,
    async () => {
      for (const [tiling, gpu] of await testTilings()) {
        using scope = new DisposableStack();
        const count = weights === "own" ? channels : channels / groups;
        const data = {
          x: normals(1, tokens * channels),
          weight: weights && normals(2, count),
          gate: gates && normals(3, tokens * gates),
          values: heads && normals(4, tokens * channels),
          skip: heads && normals(5, heads),
        };
        const tensor = (values: Float32Array | 0 | undefined, ...shape: number[]) =>
          values ? scope.use(gpu.tensor(shape, values)) : undefined;
        using normed = gatedRmsNorm(gpu, {
          x: tensor(data.x, tokens, 1, channels)!,
          weight: tensor(data.weight || undefined, count),
          gate: tensor(data.gate, tokens, 1, gates ?? 0),
          values: tensor(data.values, tokens, 1, channels),
          skip: tensor(data.skip, heads ?? 0),
        }, { groups, epsilon: 1e-3, gateStart: start, ...options });
        const gate = data.gate && gates
          ? Float64Array.from({ length: tokens * channels }, (_, i) => {
            const token = Math.floor(i / channels);
            const value = (data.gate as Float32Array)[token * gates + start + i % channels];
            return ACTIVATION_REFERENCE[activation](value);
          })
          : undefined;
        const expected = gatedRmsNormReference({
          x: data.x,
          weight: data.weight || undefined,
          gate,
          values: data.values || undefined,
          skip: data.skip || undefined,
        }, { channels, groups, gateFirst, epsilon: 1e-3 });
        assertClose(await normed.output.read(), expected, 1e-6, tiling);
      }
    },
  );
}

testKernel("gatedRmsNorm() refuses what does not fit", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([2, 6]);
  using gate = gpu.tensor([2, 7]);
  using weight = gpu.tensor([4]);
  using skip = gpu.tensor([4]);
  const refuse = (inputs: object, options: object, message: string): void => {
    assertThrows(() => gatedRmsNorm(gpu, { x, ...inputs }, options), RangeError, message);
  };
  refuse({}, { groups: 4 }, "the groups must divide the 6 channels");
  refuse({ weight }, {}, "weight must have shape [6]");
  refuse({ gate }, { gateStart: 2 }, "the gate must have 8 columns");
  refuse({ skip }, {}, "values and skip come together");
  refuse({ skip, values: x }, {}, "the skips must divide the 6 channels");
});
