// What a convolution reads: the tail, the width - 1 inputs before step 0, followed by x.

const STEPS = 8u; // of an invocation that walks along the taps

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, channels]
@if(HAS_TAIL)
@group(0) @binding(2) var<storage, read> tail: array<f32>; // [batch, width - 1, channels]; else 0

// Element `step` of the tail followed by x: step 0 is the oldest of the tail.
fn padded(batch: u32, step: u32, channel: u32) -> f32 {
  let before = shape.width - 1u;
  if (step >= before) {
    let t = min(step - before, shape.time - 1u); // past the end only where the result is not kept
    return x[(batch * shape.time + t) * shape.channels + channel];
  }
  @if(HAS_TAIL)
  return tail[(batch * before + step) * shape.channels + channel];
  @else
  return 0.0;
}
