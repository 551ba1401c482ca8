// output[i] = weight[tokens[i]], a row of zeros where the token is past the vocabulary.
// Dispatch: one invocation an element, folded past 65,535 workgroups.
// Counted in Elements.

@link
alias Element = f32; // or vec4f, where a row is whole vec4s
@link
alias Stored = f32; // the same, or f16 or vec4h

struct Shape {
  count: u32,
  vocabulary: u32,
  width: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<u32>; // [count]
@group(0) @binding(2) var<storage, read> weight: array<Stored>; // [vocabulary, width]
@group(0) @binding(3) var<storage, read_write> output: array<Element>; // [count, width]

@compute @workgroup_size(64)
fn embedding(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * 64u + local.x;
  if (index >= shape.count * shape.width) {
    return;
  }
  let token = tokens[index / shape.width];
  if (token < shape.vocabulary) {
    output[index] = Element(weight[token * shape.width + index % shape.width]);
  } else {
    output[index] = Element();
  }
}
