// One invocation per item of work. Grids of workgroups that may pass 65,535, which is all that a dispatch
// allows in a dimension, are given as one number and folded.

override WORKGROUP_SIZE: u32 = 64u;

struct Invocation {
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) local: u32,
}

// The number of its workgroup among those of the dispatch.
fn workgroup_of(invocation: Invocation) -> u32 {
  return invocation.workgroup.x + invocation.workgroup.y * invocation.workgroups.x;
}

// Its own number.
fn number_of(invocation: Invocation) -> u32 {
  return workgroup_of(invocation) * WORKGROUP_SIZE + invocation.local;
}

// The place of its workgroup in a grid of `width` by `height` by as many as there are; z is past the last
// in workgroups that fill the fold up.
fn unfold(invocation: Invocation, width: u32, height: u32) -> vec3u {
  let number = workgroup_of(invocation);
  return vec3u(number % width, number / width % height, number / width / height);
}

fn ceil_divide(count: u32, size: u32) -> u32 {
  return (count + size - 1u) / size;
}
