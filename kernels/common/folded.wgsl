// Grids of workgroups whose y or z may pass 65,535, which is all that a dispatch allows: the host gives
// their number alone, and it is folded.

// The place of a workgroup in a grid of `width` by `height` by as many as there are; z is past the last
// in workgroups that fill the fold up.
fn unfold(workgroup: vec3u, workgroups: vec3u, width: u32, height: u32) -> vec3u {
  let number = workgroup.x + workgroup.y * workgroups.x;
  return vec3u(number % width, number / width % height, number / width / height);
}

fn ceil_divide(count: u32, size: u32) -> u32 {
  return (count + size - 1u) / size;
}
