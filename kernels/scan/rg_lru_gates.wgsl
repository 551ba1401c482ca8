// The gates of RG-LRU as decay and input of a scan:
//   l = -8 * rate * sigmoid(recurrence_gate),  decay = exp(l),
//   gated = sqrt(1 - decay²) * sigmoid(input_gate) * input.
// Where RESET_FIRST, step 0 begins a document: decay = 0, and 1 for the square root.
// Dispatch: one invocation an element.

override WORKGROUP_SIZE: u32 = 64u;
override RESET_FIRST: bool = false;

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> input: array<f32>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> recurrence_gate: array<f32>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read> input_gate: array<f32>; // [batch, time, channels]
@group(0) @binding(4) var<storage, read> rate: array<f32>; // [channels], softplus of the parameter
@group(0) @binding(5) var<storage, read_write> decay: array<f32>; // [batch, time, channels]
@group(0) @binding(6) var<storage, read_write> gated: array<f32>; // [batch, time, channels]

// 1 - exp(x) for x <= 0, by its series where the difference would cancel.
fn one_minus_exp(x: f32) -> f32 {
  let series = -x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 *
    (1.0 + x / 6.0)))));
  return select(1.0 - exp(x), series, x > -0.25);
}

fn sigmoid(x: f32) -> f32 {
  return 1.0 / (1.0 + exp(-x));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn rg_lru_gates(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.time * shape.channels) {
    return;
  }
  let log_decay = -8.0 * rate[index % shape.channels] * sigmoid(recurrence_gate[index]);
  var a = exp(log_decay);
  var multiplier = sqrt(one_minus_exp(2.0 * log_decay));
  if (RESET_FIRST && index / shape.channels % shape.time == 0u) {
    a = 0.0;
    multiplier = 1.0;
  }
  decay[index] = a;
  gated[index] = multiplier * sigmoid(input_gate[index]) * input[index];
}
