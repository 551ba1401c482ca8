// How fast memory can be: destination = source, four elements per invocation.
// Dispatch: one invocation per vec4.

override WORKGROUP_SIZE: u32 = 64u;

struct Shape {
  fours: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> source: array<vec4f>; // [fours]
@group(0) @binding(2) var<storage, read_write> destination: array<vec4f>; // [fours]

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_fours(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + lane;
  if (index < shape.fours) {
    destination[index] = source[index];
  }
}
