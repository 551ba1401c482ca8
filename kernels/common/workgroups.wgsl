// One workgroup per item of work, in a grid that is folded as that of invocations is. Its number is the same
// in all its invocations, as a compiler can see: barriers may follow a return that depends on it.

struct Workgroup {
  @builtin(workgroup_id) place: vec3u,
  @builtin(num_workgroups) grid: vec3u,
}

fn number_of_workgroup(workgroup: Workgroup) -> u32 {
  return workgroup.place.x + workgroup.place.y * workgroup.grid.x;
}
