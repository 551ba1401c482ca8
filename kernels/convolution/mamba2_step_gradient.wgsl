// Gradients of Mamba-2's step sizes, from what mamba2_inputs_backward leaves of the channels: of
//   step = clamp(softplus(z), low, high), z = x + step_bias,  log_decay = -exp(decay) * step
//   dstep = sum over the head of step_terms - exp(decay) * log_decay_gradient
//   x_gradient = dz = dstep * sigmoid(z) within the bounds, else 0;  terms = dz, log_decay_gradient * log_decay
// whose sums over rows are the gradients of step_bias and of decay.
// Dispatch: one invocation per row and head.

import package::common::activation_kinds::{activate_as, sigmoid4};
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};

const SOFTPLUS = 5u;
const EXP = 7u;

struct Shape {
  rows: u32,
  heads: u32,
  parts: u32, // of a head's step_terms
  stride: u32, // of the projection's rows
  first: u32, // of the step sizes in them
  low: f32,
  high: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [rows, stride]
@group(0) @binding(2) var<storage, read> step_bias: array<f32>; // [heads]
@group(0) @binding(3) var<storage, read> decay: array<f32>; // [heads]
@group(0) @binding(4) var<storage, read> step_terms: array<f32>; // [rows, heads, parts]
@if(HAS_LOG_DECAY_GRADIENT)
@group(0) @binding(5) var<storage, read> log_decay_gradient: array<f32>; // [rows, heads]; else 0
@group(0) @binding(6) var<storage, read_write> x_gradient: array<f32>; // [rows, stride]: the step sizes'
@group(0) @binding(7) var<storage, read_write> terms: array<f32>; // [step_bias and decay, rows, heads]

@compute @workgroup_size(WORKGROUP_SIZE)
fn mamba2_step_gradient(invocation: Invocation) {
  let index = number_of(invocation);
  if (index >= shape.rows * shape.heads) {
    return;
  }
  let head = index % shape.heads;
  let at = index / shape.heads * shape.stride + shape.first + head;
  let z = vec4f(x[at] + step_bias[head]);
  let size = activate_as(SOFTPLUS, z).x;
  let above = select(size, shape.low, size < shape.low);
  let step = select(above, shape.high, above > shape.high);
  var gradient = 0.0;
  for (var part = 0u; part < shape.parts; part++) {
    gradient += step_terms[index * shape.parts + part];
  }
  var of_decay = 0.0;
  @if(HAS_LOG_DECAY_GRADIENT) {
    let rate = activate_as(EXP, vec4f(decay[head])).x;
    gradient -= rate * log_decay_gradient[index];
    of_decay = -rate * step * log_decay_gradient[index];
  }
  let free = gradient * sigmoid4(z).x;
  let of_step = select(free, 0.0, size <= shape.low || size >= shape.high);
  x_gradient[at] = of_step;
  terms[index] = of_step;
  terms[shape.rows * shape.heads + index] = of_decay;
}
