// What an invocation of the scan carries: one channel here, and several side by side in the twins that
// grid.ts makes of this text. It is appended to the kernels that speak of a Lane.

alias Lane = f32;

const UNROLLED: bool = true; // whether loops take four steps a turn: not where a Lane is many numbers

fn multiply(x: Lane, y: Lane) -> Lane {
  return x * y;
}

fn add(x: Lane, y: Lane) -> Lane {
  return x + y;
}

fn multiply_add(x: Lane, y: Lane, z: Lane) -> Lane {
  return x * y + z;
}
