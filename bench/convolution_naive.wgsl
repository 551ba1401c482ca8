// The causal convolution with an invocation an output, the baseline of the tiled one.
// Dispatch: one invocation an output.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  rows: u32, // time
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [time, channels]
@group(0) @binding(2) var<storage, read> weight: array<f32>; // [channels, width]
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // [time, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn convolution_naive(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.rows * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let row = index / shape.channels;
  var sum = 0.0;
  for (var tap = 0u; tap < shape.width; tap++) {
    if (row + tap + 1u >= shape.width) {
      sum += weight[channel * shape.width + tap] *
        x[(row + tap + 1u - shape.width) * shape.channels + channel];
    }
  }
  output[index] = sum;
}
