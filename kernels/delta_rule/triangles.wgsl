// Products with the blocks on the diagonal of a triangle, and their equations solved. What lies above
// the diagonal is never touched, so that a row that is not a number stays out of the rows before it.

// Row r is the sum over l ≤ r of lower[r][l] * x[l].
fn lower_times(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  return mat4x4f(
    x[0] * lower[0].x,
    x[0] * lower[1].x + x[1] * lower[1].y,
    x[0] * lower[2].x + x[1] * lower[2].y + x[2] * lower[2].z,
    x[0] * lower[3].x + x[1] * lower[3].y + x[2] * lower[3].z + x[3] * lower[3].w,
  );
}

// Row r is the sum over l < r of lower[r][l] * x[l].
fn strictly_lower_times(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  return mat4x4f(
    vec4f(),
    x[0] * lower[1].x,
    x[0] * lower[2].x + x[1] * lower[2].y,
    x[0] * lower[3].x + x[1] * lower[3].y + x[2] * lower[3].z,
  );
}

// Row l is the sum over r ≥ l of lower[r][l] * x[r].
fn lower_transposed_times(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  return mat4x4f(
    x[0] * lower[0].x + x[1] * lower[1].x + x[2] * lower[2].x + x[3] * lower[3].x,
    x[1] * lower[1].y + x[2] * lower[2].y + x[3] * lower[3].y,
    x[2] * lower[2].z + x[3] * lower[3].z,
    x[3] * lower[3].w,
  );
}

// Row l is the sum over r > l of lower[r][l] * x[r].
fn strictly_lower_transposed_times(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  return mat4x4f(
    x[1] * lower[1].x + x[2] * lower[2].x + x[3] * lower[3].x,
    x[2] * lower[2].y + x[3] * lower[3].y,
    x[3] * lower[3].z,
    vec4f(),
  );
}

// The y with y[r] = x[r] + the sum over l < r of lower[r][l] * y[l].
fn solve_lower(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  let y0 = x[0];
  let y1 = x[1] + y0 * lower[1].x;
  let y2 = x[2] + (y0 * lower[2].x + y1 * lower[2].y);
  let y3 = x[3] + (y0 * lower[3].x + y1 * lower[3].y + y2 * lower[3].z);
  return mat4x4f(y0, y1, y2, y3);
}

// The y with y[l] = x[l] + the sum over r > l of lower[r][l] * y[r].
fn solve_lower_transposed(x: mat4x4f, lower: mat4x4f) -> mat4x4f {
  let y3 = x[3];
  let y2 = x[2] + y3 * lower[3].z;
  let y1 = x[1] + (y2 * lower[2].y + y3 * lower[3].y);
  let y0 = x[0] + (y1 * lower[1].x + y2 * lower[2].x + y3 * lower[3].x);
  return mat4x4f(y0, y1, y2, y3);
}
