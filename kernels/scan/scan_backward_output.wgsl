// The gradients inside each chunk, backwards from the gradient r of the state that leaves it:
//   input_gradient = output_gradient + r,  decay_gradient = input_gradient * h[t - 1],
//   r = decay * input_gradient;  the first chunk leaves r = initial_state_gradient.
// Dispatch: one invocation a batch element, chunk and channel, in that order.

alias Lane = f32; // vec4f where the channels come in fours: the host replaces this line

override WORKGROUP_SIZE: u32 = 64u;
override HAS_CARRY: bool = true; // else no gradient enters from behind
override HAS_INITIAL_STATE: bool = true; // else h[-1] is 0

struct Shape {
  batch: u32,
  time: u32,
  channels: u32,
  chunks: u32,
  chunk_size: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> decay: array<Lane>; // [batch, time, channels]
@group(0) @binding(2) var<storage, read> output: array<Lane>; // [batch, time, channels]
@group(0) @binding(3) var<storage, read> initial_state: array<Lane>; // [batch, channels]
@group(0) @binding(4) var<storage, read> output_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(5) var<storage, read> carry: array<Lane>; // [batch, chunks, channels]
@group(0) @binding(6) var<storage, read_write> decay_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(7) var<storage, read_write> input_gradient: array<Lane>; // [batch, time, channels]
@group(0) @binding(8) var<storage, read_write> initial_state_gradient: array<Lane>; // [batch, channels]

@compute @workgroup_size(WORKGROUP_SIZE)
fn scan_backward_output(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local;
  if (index >= shape.batch * shape.chunks * shape.channels) {
    return;
  }
  let channels = shape.channels;
  let channel = index % channels;
  let chunk = index / channels % shape.chunks;
  let batch = index / (channels * shape.chunks);
  let first = chunk * shape.chunk_size;
  let steps = min(shape.chunk_size, shape.time - first);
  let begin = (batch * shape.time + first) * channels + channel;
  let rest = (steps - 1u) % 4u + 1u; // steps in front of the fours, at least the chunk's first
  var behind = begin + steps * channels;

  var r = Lane(0.0);
  if (HAS_CARRY) {
    r = carry[index];
  }
  while (behind > begin + rest * channels) {
    behind -= 4u * channels;
    let a0 = decay[behind];
    let a1 = decay[behind + channels];
    let a2 = decay[behind + 2u * channels];
    let a3 = decay[behind + 3u * channels];
    let g3 = output_gradient[behind + 3u * channels] + r;
    let g2 = output_gradient[behind + 2u * channels] + a3 * g3;
    let g1 = output_gradient[behind + channels] + a2 * g2;
    let g0 = output_gradient[behind] + a1 * g1;
    r = a0 * g0;
    decay_gradient[behind] = g0 * output[behind - channels];
    decay_gradient[behind + channels] = g1 * output[behind];
    decay_gradient[behind + 2u * channels] = g2 * output[behind + channels];
    decay_gradient[behind + 3u * channels] = g3 * output[behind + 2u * channels];
    input_gradient[behind] = g0;
    input_gradient[behind + channels] = g1;
    input_gradient[behind + 2u * channels] = g2;
    input_gradient[behind + 3u * channels] = g3;
  }
  while (behind > begin) {
    behind -= channels;
    var before = Lane(0.0);
    if (behind > begin || chunk > 0u) {
      before = output[behind - channels];
    } else if (HAS_INITIAL_STATE) {
      before = initial_state[batch * channels + channel];
    }
    let g = output_gradient[behind] + r;
    decay_gradient[behind] = g * before;
    input_gradient[behind] = g;
    r = decay[behind] * g;
  }
  if (chunk == 0u) {
    initial_state_gradient[batch * channels + channel] = r;
  }
}
