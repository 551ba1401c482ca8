// What the backward kernels on tiles stage besides.

import package::attention::problem::{VALUE, query_row};
import package::attention::terms::y_gradient;

// Vec4 `column` of a row; 0 past its end.
fn y_gradient_at(batch: u32, time: i32, head: u32, column: u32) -> vec4f {
  if (column >= VALUE) {
    return vec4f();
  }
  return vec4f(y_gradient[query_row(batch, time, head) * VALUE + column]);
}
