// What an invocation of the scan carries: a slice of the channels, one (SCALAR) or 4 * FOURS side by side.

@link
const FOURS: u32 = 1u;

@if(SCALAR)
alias Slice = f32;
@else
alias Slice = array<vec4f, FOURS>;

@link
const FOUR_STEPS: bool = true; // whether loops take four steps per turn: not where a Slice is many numbers

fn multiply(x: Slice, y: Slice) -> Slice {
  @if(SCALAR)
  return x * y;
  @else {
    var product: Slice;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      product[i] = x[i] * y[i];
    }
    return product;
  }
}

fn add(x: Slice, y: Slice) -> Slice {
  @if(SCALAR)
  return x + y;
  @else {
    var sum: Slice;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      sum[i] = x[i] + y[i];
    }
    return sum;
  }
}

fn multiply_add(x: Slice, y: Slice, z: Slice) -> Slice {
  @if(SCALAR)
  return x * y + z;
  @else {
    var sum: Slice;
    @unroll
    for (var i = 0u; i < FOURS; i++) {
      sum[i] = x[i] * y[i] + z[i];
    }
    return sum;
  }
}
