// How a workgroup is shared between rows: ROWS of them, LANES invocations each. A lane is one of the
// invocations that share a row. They are in one dimension, the rows one after another: a software adapter runs
// eight neighbours in x in lockstep, and a row of one lane would leave it seven of none.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;

struct Lane {
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) index: u32,
}

// Which of the row's lanes it is, and of the workgroup's rows.
fn local_of(lane: Lane) -> vec2u {
  return vec2u(lane.index % LANES, lane.index / LANES);
}

fn row_of(lane: Lane) -> u32 {
  return (lane.workgroup.x + lane.workgroup.y * lane.workgroups.x) * ROWS + local_of(lane).y;
}
