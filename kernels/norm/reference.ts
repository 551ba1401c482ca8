/** Step-by-step definitions in float64; arrays are row-major. */

/** `y = x / √(mean(x²) + ε) · weight` for each row of `x`. */
export function rmsNormReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  epsilon = 1e-5,
): Float64Array {
  const columns = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    for (let c = 0; c < columns; c++) squares += x[start + c] ** 2;
    const rms = Math.sqrt(squares / columns + epsilon);
    for (let c = 0; c < columns; c++) y[start + c] = x[start + c] / rms * weight[c];
  }
  return y;
}

/** The gradients of {@linkcode rmsNormReference} by the chain rule, element by element. */
export function rmsNormBackwardReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
  epsilon = 1e-5,
): { xGradient: Float64Array; weightGradient: Float64Array } {
  const columns = weight.length;
  const xGradient = new Float64Array(x.length);
  const weightGradient = new Float64Array(columns);
  for (let start = 0; start < x.length; start += columns) {
    let squares = 0;
    for (let c = 0; c < columns; c++) squares += x[start + c] ** 2;
    const rms = Math.sqrt(squares / columns + epsilon);
    let projection = 0;
    for (let c = 0; c < columns; c++) {
      projection += outputGradient[start + c] * weight[c] * x[start + c];
      weightGradient[c] += outputGradient[start + c] * x[start + c] / rms;
    }
    for (let c = 0; c < columns; c++) {
      xGradient[start + c] = outputGradient[start + c] * weight[c] / rms -
        x[start + c] * projection / (columns * rms ** 3);
    }
  }
  return { xGradient, weightGradient };
}

/** `y = (x − mean) / √(var + ε) · weight + bias` for each row of `x`. */
export function layerNormReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  epsilon = 1e-5,
): Float64Array {
  const columns = weight.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += columns) {
    let mean = 0;
    for (let c = 0; c < columns; c++) mean += x[start + c] / columns;
    let variance = 0;
    for (let c = 0; c < columns; c++) variance += (x[start + c] - mean) ** 2 / columns;
    const deviation = Math.sqrt(variance + epsilon);
    for (let c = 0; c < columns; c++) {
      y[start + c] = (x[start + c] - mean) / deviation * weight[c] + bias[c];
    }
  }
  return y;
}

/** The gradients of {@linkcode layerNormReference} through `mean` and `var`, element by element. */
export function layerNormBackwardReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  outputGradient: ArrayLike<number>,
  epsilon = 1e-5,
): { xGradient: Float64Array; weightGradient: Float64Array; biasGradient: Float64Array } {
  const columns = weight.length;
  const xGradient = new Float64Array(x.length);
  const weightGradient = new Float64Array(columns);
  const biasGradient = new Float64Array(columns);
  for (let start = 0; start < x.length; start += columns) {
    let mean = 0;
    for (let c = 0; c < columns; c++) mean += x[start + c] / columns;
    let variance = 0;
    for (let c = 0; c < columns; c++) variance += (x[start + c] - mean) ** 2 / columns;
    const deviation = Math.sqrt(variance + epsilon);
    let meanGradient = 0;
    let varianceGradient = 0;
    for (let c = 0; c < columns; c++) {
      const gradient = outputGradient[start + c] * weight[c];
      meanGradient -= gradient / deviation;
      varianceGradient -= gradient * (x[start + c] - mean) / (2 * deviation ** 3);
      weightGradient[c] += outputGradient[start + c] * (x[start + c] - mean) / deviation;
      biasGradient[c] += outputGradient[start + c];
    }
    for (let c = 0; c < columns; c++) {
      xGradient[start + c] = outputGradient[start + c] * weight[c] / deviation +
        varianceGradient * 2 * (x[start + c] - mean) / columns + meanGradient / columns;
    }
  }
  return { xGradient, weightGradient, biasGradient };
}

/**
 * With `u = x + skip · values`, times `gate` where it comes first: `u / √(mean(u²) + ε) · weight` over each
 * group of channels, times `gate` where it comes last. The gate has its activation already.
 */
export function gatedRmsNormReference(
  { x, weight, gate, values, skip }: {
    x: ArrayLike<number>;
    weight?: ArrayLike<number>;
    gate?: ArrayLike<number>;
    values?: ArrayLike<number>;
    skip?: ArrayLike<number>;
  },
  { channels, groups, gateFirst, epsilon }: {
    channels: number;
    groups: number;
    gateFirst: boolean;
    epsilon: number;
  },
): Float64Array {
  const width = channels / groups;
  const u = Float64Array.from(x, (value, i) => {
    const head = skip ? Math.floor(i % channels * skip.length / channels) : 0;
    const whole = value + (values && skip ? skip[head] * values[i] : 0);
    return whole * (gate && gateFirst ? gate[i] : 1);
  });
  return u.map((value, i) => {
    const start = i - i % width;
    let squares = 0;
    for (let c = 0; c < width; c++) squares += u[start + c] ** 2;
    const weightAt = weight?.[i % weight.length] ?? 1;
    const normed = weight ? value / Math.sqrt(squares / width + epsilon) * weightAt : value;
    return normed * (gate && !gateFirst ? gate[i] : 1);
  });
}

/**
 * The gradients of {@linkcode gatedRmsNormReference} by the chain rule, element by element; that of the gate is
 * of the gate with its activation.
 */
export function gatedRmsNormBackwardReference(
  { x, weight, gate, values, skip, outputGradient }:
    & Parameters<typeof gatedRmsNormReference>[0]
    & { outputGradient: ArrayLike<number> },
  { channels, groups, gateFirst, epsilon }: Parameters<typeof gatedRmsNormReference>[1],
): Record<`${"x" | "weight" | "gate" | "values" | "skip"}Gradient`, Float64Array> {
  const width = channels / groups;
  const weightGradient = new Float64Array(weight?.length ?? 0);
  const gateGradient = new Float64Array(x.length);
  const skipGradient = new Float64Array(skip?.length ?? 0);
  const headOf = (i: number): number => Math.floor(i % channels * skipGradient.length / channels);
  const skipAt = (i: number): number => skip?.[headOf(i)] ?? 0;
  const passed = Float64Array.from(x, (value, i) => value + skipAt(i) * (values?.[i] ?? 0));
  const before = (i: number): number => gate && gateFirst ? gate[i] : 1;
  const behind = (i: number): number => gate && !gateFirst ? gate[i] : 1;
  const u = passed.map((value, i) => value * before(i));
  const xGradient = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += width) {
    let squares = 0;
    for (let c = 0; c < width; c++) squares += u[start + c] ** 2;
    const rms = weight ? Math.sqrt(squares / width + epsilon) : 1;
    const weightAt = (i: number): number => weight?.[i % weight.length] ?? 1;
    let projection = 0;
    for (let i = start; i < start + width; i++) {
      projection += outputGradient[i] * behind(i) * weightAt(i) * u[i];
      if (weight) weightGradient[i % weight.length] += outputGradient[i] * behind(i) * u[i] / rms;
      if (!gateFirst) gateGradient[i] = outputGradient[i] * weightAt(i) * u[i] / rms;
    }
    for (let i = start; i < start + width; i++) {
      const ofRms = weight ? u[i] * projection / (width * rms ** 3) : 0;
      const ofU = outputGradient[i] * behind(i) * weightAt(i) / rms - ofRms;
      if (gateFirst) gateGradient[i] = ofU * passed[i];
      xGradient[i] = ofU * before(i);
      if (values && skip) skipGradient[headOf(i)] += xGradient[i] * values[i];
    }
  }
  const valuesGradient = xGradient.map((value, i) => value * skipAt(i));
  return { xGradient, weightGradient, gateGradient, valuesGradient, skipGradient };
}
