// The scan token by token, the baseline of the chunked one: h = decay * h + input.
// Dispatch: one invocation per batch element and channel.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> decay: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read_write> output: array<f32>; // [batch, time, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_recurrent(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= shape.batch * shape.channels) {
    return;
  }
  var at = id.x / shape.channels * shape.time * shape.channels + id.x % shape.channels;
  var h = 0.0;
  for (var t = 0u; t < shape.time; t++) {
    h = decay[at] * h + input[at];
    output[at] = h;
    at += shape.channels;
  }
}
