import {
  causalConvolution,
  causalConvolutionBackward,
  causalConvolutionStep,
  rgLru,
  rgLruBackward,
  rgLruStep,
  scan,
  scanBackward,
  scanStep,
  selectiveScan,
  selectiveScanBackward,
  selectiveScanStep,
} from "../../../kernels/mod.ts";
import {
  causalConvolutionBackwardReference,
  causalConvolutionReference,
} from "../../../kernels/convolution/reference.ts";
import {
  rgLruBackwardReference,
  rgLruReference,
  scanBackwardReference,
  scanReference,
  selectiveScanBackwardReference,
  selectiveScanReference,
} from "../../../kernels/scan/reference.ts";
import type { Draws } from "../draws.ts";
import { compare, count, type KernelCase, upload } from "./compare.ts";

interface Extents {
  readonly batch: number;
  readonly time: number;
  readonly channels: number;
}

function extents(draws: Draws, step: boolean): Extents {
  return {
    batch: draws.size("batch", 3),
    time: step ? 1 : draws.size("time", 260, 0),
    channels: draws.size("channels", 70),
  };
}

function chunks(draws: Draws): { chunkSize?: number } {
  const chunkSize = draws.option("chunkSize", [undefined, undefined, 1, 7, 16, 1000]);
  return chunkSize === undefined ? {} : { chunkSize };
}

const elementwise = (step: boolean): KernelCase => async (gpu, draws) => {
  const shape = extents(draws, step);
  const { batch, time, channels } = shape;
  const whole = [batch, time, channels];
  const shapes = {
    decay: whole,
    input: whole,
    initialState: [batch, channels],
    outputGradient: whole,
    finalStateGradient: [batch, channels],
  };
  const signed = draws.option("negative decays", [false, false, true]);
  const arrays = {
    decay: draws.logDecays(count(whole)).map((value) =>
      Math.exp(value) * (signed && draws.chance(0.5) ? -1 : 1)
    ),
    input: draws.normals(count(whole)),
    initialState: draws.normals(batch * channels),
  };
  draws.poison(arrays);
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const expected = scanReference(arrays, shape);
  if (step) {
    const { finalState } = scanStep(gpu, { ...inputs, state: initialState });
    return await compare(gpu, { finalState }, expected);
  }
  const options = chunks(draws);
  const { output, finalState } = scan(gpu, { ...inputs, initialState }, options);
  const kept = scope.use(output);
  await compare(gpu, { output: kept.reshape(whole), finalState }, expected);
  const outer = {
    outputGradient: draws.normals(count(whole)),
    finalStateGradient: draws.normals(batch * channels),
  };
  const gradients = scanBackward(gpu, {
    decay: inputs.decay,
    output: kept,
    initialState,
    ...upload(gpu, scope, shapes, outer),
  }, options);
  const wanted = scanBackwardReference({ ...arrays, ...outer, output: expected.output }, shape);
  await compare(gpu, { ...gradients }, wanted);
};

const griffin = (step: boolean): KernelCase => async (gpu, draws) => {
  const shape = extents(draws, step);
  const { batch, time, channels } = shape;
  const whole = [batch, time, channels];
  const shapes = {
    input: whole,
    recurrenceGate: whole,
    inputGate: whole,
    decayParameter: [channels],
    initialState: [batch, channels],
    outputGradient: whole,
    finalStateGradient: [batch, channels],
  };
  const arrays = {
    input: draws.normals(count(whole)),
    recurrenceGate: draws.normals(count(whole), 3),
    inputGate: draws.normals(count(whole), 3),
    decayParameter: draws.uniforms(channels, -9, draws.option("strongest decay", [-4, 0, 3])),
    initialState: draws.normals(batch * channels),
  };
  draws.poison({ input: arrays.input });
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const resetFirst = draws.option("resetFirst", [false, true]);
  const expected = rgLruReference(arrays, shape, resetFirst);
  if (step) {
    const { finalState } = rgLruStep(gpu, { ...inputs, state: initialState }, { resetFirst });
    return await compare(gpu, { finalState }, expected);
  }
  const options = { resetFirst, ...chunks(draws) };
  const { output, finalState } = rgLru(gpu, { ...inputs, initialState }, options);
  const kept = scope.use(output);
  await compare(gpu, { output: kept.reshape(whole), finalState }, expected);
  const outer = {
    outputGradient: draws.normals(count(whole)),
    finalStateGradient: draws.normals(batch * channels),
  };
  const gradients = rgLruBackward(gpu, {
    ...inputs,
    initialState,
    output: kept,
    ...upload(gpu, scope, shapes, outer),
  }, options);
  const wanted = rgLruBackwardReference(
    { ...arrays, ...outer },
    shape,
    resetFirst,
  );
  await compare(gpu, { ...gradients }, wanted);
};

const selective = (step: boolean): KernelCase => async (gpu, draws) => {
  const state = draws.size("state", 20);
  const shape = { ...extents(draws, step), state };
  const { batch, time, channels } = shape;
  const whole = [batch, time, channels];
  const shapes = {
    input: whole,
    delta: whole,
    a: [channels, state],
    b: [batch, time, state],
    c: [batch, time, state],
    skip: [channels],
    gate: whole,
    deltaBias: [channels],
    initialState: [batch, channels, state],
    outputGradient: whole,
    finalStateGradient: [batch, channels, state],
  };
  const arrays = {
    input: draws.normals(count(whole)),
    delta: draws.normals(count(whole), 2),
    a: draws.uniforms(channels * state, draws.option("strongest a", [-0.01, -1, -16]), 0),
    b: draws.normals(count(shapes.b)),
    c: draws.normals(count(shapes.c)),
    skip: draws.normals(channels),
    gate: draws.normals(count(whole)),
    deltaBias: draws.normals(channels),
    initialState: draws.normals(count(shapes.initialState)),
  };
  const { input, delta, b, c } = arrays;
  const spread = draws.poison({ input, delta, b, c }, { extents: batch });
  const endless = delta.indexOf(Infinity); // no step is: 0 · ∞ may come of it anywhere
  if (endless >= 0) delta[endless] = NaN;
  using scope = new DisposableStack();
  const { initialState, ...inputs } = upload(gpu, scope, shapes, arrays);
  const expected = selectiveScanReference(arrays, shape);
  const deltaSoftplus = true;
  if (step) {
    const logRates = draws.option("logRates", [false, true]);
    const logs = arrays.a.map((rate) => Math.log(-rate));
    const a = logRates ? scope.use(gpu.tensor([channels, state], logs)) : inputs.a;
    const options = { deltaSoftplus, logRates };
    const outputs = selectiveScanStep(gpu, { ...inputs, a, state: initialState }, options);
    return await compare(gpu, { ...outputs }, expected, { spread });
  }
  const options = { deltaSoftplus, ...chunks(draws) };
  const all = { ...inputs, initialState };
  await compare(gpu, { ...selectiveScan(gpu, all, options) }, expected, { spread });
  const outer = {
    outputGradient: draws.normals(count(whole)),
    finalStateGradient: draws.normals(count(shapes.finalStateGradient)),
  };
  const wanted = selectiveScanBackwardReference({ ...arrays, ...outer }, shape);
  const gradients = selectiveScanBackward(
    gpu,
    { ...all, ...upload(gpu, scope, shapes, outer) },
    options,
  );
  await compare(gpu, { ...gradients }, wanted, { spread });
};

const convolution = (step: boolean): KernelCase => async (gpu, draws) => {
  const activation = draws.option("activation", ["silu", "none"] as const);
  const shape = { ...extents(draws, step), width: draws.size("width", 9), activation };
  const { batch, time, channels, width } = shape;
  const whole = [batch, time, channels];
  const shapes = {
    x: whole,
    weight: [channels, width],
    bias: [channels],
    initialTail: [batch, width - 1, channels],
    outputGradient: whole,
    finalTailGradient: [batch, width - 1, channels],
  };
  const arrays = {
    x: draws.normals(count(whole)),
    weight: draws.normals(channels * width),
    bias: draws.normals(channels),
    initialTail: draws.normals(count(shapes.initialTail)),
  };
  const { x, bias, initialTail: tail } = arrays;
  draws.poison({ x, bias, tail }); // a weight that is NaN leaves nothing of its channel
  using scope = new DisposableStack();
  const { initialTail, ...inputs } = upload(gpu, scope, shapes, arrays);
  const expected = causalConvolutionReference(arrays, shape);
  if (step) {
    const outputs = causalConvolutionStep(gpu, { ...inputs, tail: initialTail }, { activation });
    return await compare(gpu, { ...outputs }, expected);
  }
  const all = { ...inputs, initialTail };
  await compare(gpu, { ...causalConvolution(gpu, all, { activation }) }, expected);
  const outer = {
    outputGradient: draws.normals(count(whole)),
    finalTailGradient: draws.normals(count(shapes.finalTailGradient)),
  };
  const gradients = causalConvolutionBackward(
    gpu,
    { ...all, ...upload(gpu, scope, shapes, outer) },
    { activation },
  );
  const { outputGradient, finalTailGradient } = outer;
  const wanted = causalConvolutionBackwardReference({
    ...arrays,
    outputGradient,
    finalTailGradient,
  }, shape);
  await compare(gpu, { ...gradients }, wanted);
};

/** Recurrences with a state of numbers, and the short convolution before them. */
export const SCANS: Readonly<Record<string, KernelCase>> = {
  scan: elementwise(false),
  scan_step: elementwise(true),
  rg_lru: griffin(false),
  rg_lru_step: griffin(true),
  selective_scan: selective(false),
  selective_scan_step: selective(true),
  causal_convolution: convolution(false),
  causal_convolution_step: convolution(true),
};
