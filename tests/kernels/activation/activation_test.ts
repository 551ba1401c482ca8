import { assertThrows } from "@std/assert";
import {
  activation,
  ACTIVATION_KINDS,
  activationBackward,
  gatedActivation,
  gatedActivationBackward,
} from "../../../kernels/activation/mod.ts";
import {
  ACTIVATION_REFERENCE,
  ACTIVATION_SLOPE_REFERENCE,
} from "../../../kernels/activation/reference.ts";
import { assertClose, normals, testGpu, testKernel } from "../../testing.ts";

const COUNT = 1001;
const EXTREMES = [0, 1e-30, 1e-6, 1e-3, 0.5, 0.624, 0.626, 5, 10, 20, 80, 100, 1e3, 1e4];

for (const kind of ACTIVATION_KINDS) {
  testKernel(`${kind} and its gradients equal the reference`, async () => {
    const gpu = await testGpu();
    const value = ACTIVATION_REFERENCE[kind];
    const slope = ACTIVATION_SLOPE_REFERENCE[kind];
    const [g, x, d] = [normals(1, COUNT, 2), normals(2, COUNT), normals(3, COUNT)];
    using gate = gpu.tensor([COUNT], g);
    using xTensor = gpu.tensor([COUNT], x);
    using outputGradient = gpu.tensor([COUNT], d);
    const gradients = gatedActivationBackward(
      gpu,
      { gate, x: xTensor, outputGradient },
      { kind },
    );
    const [y, dg, gated, gatedDg, gatedDx] = await gpu.read([
      activation(gpu, { x: gate }, { kind }).output,
      activationBackward(gpu, { x: gate, outputGradient }, { kind }).xGradient,
      gatedActivation(gpu, { gate, x: xTensor }, { kind }).output,
      gradients.gateGradient,
      gradients.xGradient,
    ]);
    const by = (f: (i: number) => number): Float64Array =>
      Float64Array.from({ length: COUNT }, (_, i) => f(i));
    assertClose(y, by((i) => value(g[i])), 1e-6, "output");
    assertClose(dg, by((i) => slope(g[i]) * d[i]), 1e-6, "xGradient");
    assertClose(gated, by((i) => value(g[i]) * x[i]), 1e-6, "gated output");
    assertClose(gatedDg, by((i) => slope(g[i]) * x[i] * d[i]), 1e-6, "gateGradient");
    assertClose(gatedDx, by((i) => value(g[i]) * d[i]), 1e-6, "gated xGradient");
  });

  testKernel(`${kind} and its gradient keep their digits from 0 to ±10000`, async () => {
    const gpu = await testGpu();
    const points = Float32Array.from(EXTREMES.flatMap((value) => [value, -value]));
    using x = gpu.tensor([points.length], points);
    using outputGradient = gpu.tensor([points.length], new Float32Array(points.length).fill(1));
    const [y, dx] = await gpu.read([
      activation(gpu, { x }, { kind }).output,
      activationBackward(gpu, { x, outputGradient }, { kind }).xGradient,
    ]);
    points.forEach((point, i) => {
      for (
        const [actual, expected] of [
          [y[i], ACTIVATION_REFERENCE[kind](point)],
          [dx[i], ACTIVATION_SLOPE_REFERENCE[kind](point)],
        ]
      ) {
        // An exponent of −80 alone costs 80 rounding errors; what f32 holds no more may be 0.
        const error = Math.abs(actual - expected);
        if (!(error <= 2e-5 * Math.abs(expected) + 1e-30)) {
          throw new Error(`${kind} at ${point}: ${actual} instead of ${expected}`);
        }
      }
    });
  });
}

testKernel("activations refuse an unknown kind and shapes that differ", async () => {
  const gpu = await testGpu();
  using x = gpu.tensor([4]);
  using gate = gpu.tensor([2, 2]);
  assertThrows(
    () => activation(gpu, { x }, { kind: "swish" as "silu" }),
    RangeError,
    "Cannot run activation() as kind must be one of silu, gelu",
  );
  assertThrows(
    () => gatedActivation(gpu, { gate, x }, { kind: "silu" }),
    RangeError,
    "Cannot run gatedActivation() as x must have shape [2,2]: current shape is [4]",
  );
});
