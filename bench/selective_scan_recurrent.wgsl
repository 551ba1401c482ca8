// Mamba's selective scan token by token, the baseline of the chunked one:
//   h = exp(delta * a) * h + delta * input * b,  output = sum over states of c * h.
// Dispatch: one invocation per channel.

override WORKGROUP_SIZE: u32 = 64u;

const STATE: u32 = 16u;

struct Shape {
  time: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [time, channels]
@group(0) @binding(2) var<storage, read> delta: array<f32>; // [time, channels]
@group(0) @binding(3) var<storage, read> a: array<f32>; // [channels, STATE]
@group(0) @binding(4) var<storage, read> b: array<f32>; // [time, STATE]
@group(0) @binding(5) var<storage, read> c: array<f32>; // [time, STATE]
@group(0) @binding(6) var<storage, read_write> output: array<f32>; // [time, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn selective_scan_recurrent(@builtin(global_invocation_id) id: vec3u) {
  let channel = id.x;
  if (channel >= shape.channels) {
    return;
  }
  var h: array<f32, STATE>;
  for (var t = 0u; t < shape.time; t++) {
    let at = t * shape.channels + channel;
    let d = delta[at];
    var y = 0.0;
    for (var n = 0u; n < STATE; n++) {
      h[n] = exp(d * a[channel * STATE + n]) * h[n] + d * input[at] * b[t * STATE + n];
      y += c[t * STATE + n] * h[n];
    }
    output[at] = y;
  }
}
