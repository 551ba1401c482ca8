// One step of AdamW in place, with g = gradient * gradient_scale:
//   m = m + (1 - beta1) (g - m),  v = v + (1 - beta2) (g² - v),
//   parameter = parameter (1 - decay * mask) - step_size m / (sqrt(v) * second_correction + epsilon).
// Dispatch: one invocation four elements, folded past 65,535 workgroups.

struct Shape {
  vectors: u32, // of four elements
  first_rate: f32, // 1 - beta1
  second_rate: f32, // 1 - beta2
  step_size: f32, // learning rate / (1 - beta1^step)
  second_correction: f32, // 1 / sqrt(1 - beta2^step)
  epsilon: f32,
  decay: f32, // learning rate * weight decay
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> gradient: array<vec4f>; // [...]
@if(HAS_GRADIENT_SCALE)
@group(0) @binding(2) var<storage, read> gradient_scale: array<f32>; // [1]; else 1
@if(HAS_DECAY_MASK)
@group(0) @binding(3) var<storage, read> decay_mask: array<vec4f>; // [...]; else 1
@group(0) @binding(4) var<storage, read_write> parameter: array<vec4f>; // [...]
@group(0) @binding(5) var<storage, read_write> first_moment: array<vec4f>; // [...]
@group(0) @binding(6) var<storage, read_write> second_moment: array<vec4f>; // [...]

@compute @workgroup_size(64)
fn adam_w(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + local.x;
  if (index >= shape.vectors) {
    return;
  }
  var g = gradient[index];
  @if(HAS_GRADIENT_SCALE)
  g *= gradient_scale[0];
  var decay = vec4f(shape.decay);
  @if(HAS_DECAY_MASK)
  decay *= decay_mask[index];
  let m = first_moment[index] + shape.first_rate * (g - first_moment[index]);
  let v = second_moment[index] + shape.second_rate * (g * g - second_moment[index]);
  first_moment[index] = m;
  second_moment[index] = v;
  let divisor = sqrt(v) * shape.second_correction + shape.epsilon;
  let old = parameter[index];
  parameter[index] = old - decay * old - shape.step_size * m / divisor;
}
