// The last width - 1 inputs, older ones being taken from the tail before them where time is shorter.
// Dispatch: one invocation per element of the tail.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [batch, time, channels]
@if(HAS_TAIL)
@group(0) @binding(2) var<storage, read> tail: array<f32>; // [batch, width - 1, channels]; else x before step 0 is 0
@group(0) @binding(3) var<storage, read_write> final_tail: array<f32>; // [batch, width - 1, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn causal_convolution_tail(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  let before = shape.width - 1u;
  if (index >= shape.batch * before * shape.channels) {
    return;
  }
  let channel = index % shape.channels;
  let batch = index / (before * shape.channels);
  let step = index / shape.channels % before + shape.time; // in the tail followed by x
  var value = 0.0;
  if (step >= before) {
    value = x[(batch * shape.time + step - before) * shape.channels + channel];
  } else {
    @if(HAS_TAIL)
    value = tail[(batch * before + step) * shape.channels + channel];
  }
  final_tail[index] = value;
}
