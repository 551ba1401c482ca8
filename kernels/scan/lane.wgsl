// What an invocation of the scan carries: one channel (SCALAR), or 4 * FOURS of them side by side.

@link
const FOURS: u32 = 1u;

@if(SCALAR)
alias Lane = f32;
@else
alias Lane = array<vec4f, FOURS>;

@link
const FOUR_STEPS: bool = true; // whether loops take four steps per turn: not where a Lane is many numbers

fn multiply(x: Lane, y: Lane) -> Lane {
  @if(SCALAR)
  return x * y;
  @else {
    var product: Lane;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      product[i] = x[i] * y[i];
    }
    return product;
  }
}

fn add(x: Lane, y: Lane) -> Lane {
  @if(SCALAR)
  return x + y;
  @else {
    var sum: Lane;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      sum[i] = x[i] + y[i];
    }
    return sum;
  }
}

fn multiply_add(x: Lane, y: Lane, z: Lane) -> Lane {
  @if(SCALAR)
  return x * y + z;
  @else {
    var sum: Lane;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      sum[i] = x[i] * y[i] + z[i];
    }
    return sum;
  }
}
