// Causal depthwise convolution, a channel on its own:
//   z[t] = bias + sum over j < width of weight[j] * x[t - width + 1 + j],  x before step 0 being the tail,
//   output = z, or z * sigmoid(z) where SILU;  where SLOPE instead the gradient of z:
//   output = z_gradient = y_gradient * silu'(z).
// A window of eight values moves along the taps: one load gives a tap of eight outputs.
// Dispatch: x = ceil(channels / WORKGROUP_SIZE), y = ceil(time / 8), z = batch.

override WORKGROUP_SIZE: u32 = 64u;
override SILU: bool = false;
override SLOPE: bool = false;
override HAS_BIAS: bool = false; // else bias is bound to any tensor
override HAS_TAIL: bool = false; // else x before step 0 is 0

struct Shape {
  time: u32,
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [channels, width]
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [channels]
@group(0) @binding(4) var<storage, read> tail: array<f32>; // [batch, width - 1, channels]
@group(0) @binding(5) var<storage, read> y_gradient: array<f32>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> output: array<f32>; // [batch, time, channels]

// Element `step` of the tail followed by x: step 0 is the oldest of the tail.
fn padded(batch: u32, step: u32, channel: u32) -> f32 {
  let before = shape.width - 1u;
  if (step >= before) {
    let t = min(step - before, shape.time - 1u); // past the end only where the output is not kept
    return x[(batch * shape.time + t) * shape.channels + channel];
  }
  if (HAS_TAIL) {
    return tail[(batch * before + step) * shape.channels + channel];
  }
  return 0.0;
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let channel = workgroup.x * WORKGROUP_SIZE + local;
  if (channel >= shape.channels) {
    return;
  }
  let first = workgroup.y * 8u;
  let batch = workgroup.z;
  var early = vec4f(
    0.0,
    padded(batch, first, channel),
    padded(batch, first + 1u, channel),
    padded(batch, first + 2u, channel),
  );
  var late = vec4f(
    padded(batch, first + 3u, channel),
    padded(batch, first + 4u, channel),
    padded(batch, first + 5u, channel),
    padded(batch, first + 6u, channel),
  );
  var z_early = vec4f(0.0);
  var z_late = vec4f(0.0);
  if (HAS_BIAS) {
    z_early += bias[channel];
    z_late += bias[channel];
  }
  for (var tap = 0u; tap < shape.width; tap++) {
    early = vec4f(early.yzw, late.x);
    late = vec4f(late.yzw, padded(batch, first + 7u + tap, channel));
    let w = weight[channel * shape.width + tap];
    z_early += w * early;
    z_late += w * late;
  }
  let steps = min(8u, shape.time - first);
  var at = (batch * shape.time + first) * shape.channels + channel;
  for (var step = 0u; step < steps; step++) {
    var value = z_early.x;
    if (SLOPE) {
      let s = 1.0 / (1.0 + exp(-value));
      value = y_gradient[at] * s * (1.0 + value * (1.0 - s));
    } else if (SILU) {
      value /= 1.0 + exp(-value);
    }
    output[at] = value;
    at += shape.channels;
    z_early = vec4f(z_early.yzw, z_late.x);
    z_late = z_late.yzww;
  }
}
