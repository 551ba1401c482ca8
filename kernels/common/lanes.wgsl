// How a workgroup is shared between rows: ROWS of them, LANES invocations each. A lane is one of the
// invocations that share a row.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;

struct Lane {
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u, // which of the row's lanes, and of the workgroup's rows
}

fn row_of(lane: Lane) -> u32 {
  return (lane.workgroup.x + lane.workgroup.y * lane.workgroups.x) * ROWS + lane.local.y;
}
