// Products of tiles in workgroup memory, appended to the kernels that work on tiles. 64 invocations, 8 by 8,
// share a tile of 32 by 32: invocation (x, y) has its rows y + 8 i and its columns x + 8 j for i, j < SIDE.

const TILE: u32 = 32u;
const SIDE: u32 = 4u; // rows, and columns, of an invocation
const VECTORS: u32 = 8u; // vec4s of a row that are staged at a time
const STRIDE: u32 = 9u; // of a staged row; one more than VECTORS puts rows in different banks

var<workgroup> left: array<vec4f, TILE * STRIDE>; // the tile's rows
var<workgroup> right: array<vec4f, TILE * STRIDE>; // the tile's columns
var<workgroup> factors: array<vec4f, TILE * 8u>; // [column, y]: the four rows' factors of a column
var<workgroup> reduced: array<vec4f, 64u>; // [x, y]

// The products of the staged rows and columns: element [j][i] for row y + 8 i and column x + 8 j.
fn staged_products(local: vec3u) -> mat4x4f {
  var product = mat4x4f();
  for (var d = 0u; d < VECTORS; d++) {
    let a0 = left[local.y * STRIDE + d];
    let a1 = left[(local.y + 8u) * STRIDE + d];
    let a2 = left[(local.y + 16u) * STRIDE + d];
    let a3 = left[(local.y + 24u) * STRIDE + d];
    let b0 = right[local.x * STRIDE + d];
    let b1 = right[(local.x + 8u) * STRIDE + d];
    let b2 = right[(local.x + 16u) * STRIDE + d];
    let b3 = right[(local.x + 24u) * STRIDE + d];
    product[0] += vec4f(dot(a0, b0), dot(a1, b0), dot(a2, b0), dot(a3, b0));
    product[1] += vec4f(dot(a0, b1), dot(a1, b1), dot(a2, b1), dot(a3, b1));
    product[2] += vec4f(dot(a0, b2), dot(a1, b2), dot(a2, b2), dot(a3, b2));
    product[3] += vec4f(dot(a0, b3), dot(a1, b3), dot(a2, b3), dot(a3, b3));
  }
  return product;
}

// Keeps the factors of the tile: element [j][i] for row y + 8 i and column x + 8 j.
fn store_factors(local: vec3u, factor: mat4x4f) {
  factors[local.x * 8u + local.y] = factor[0];
  factors[(local.x + 8u) * 8u + local.y] = factor[1];
  factors[(local.x + 16u) * 8u + local.y] = factor[2];
  factors[(local.x + 24u) * 8u + local.y] = factor[3];
}

// The staged columns summed with the factors of each row: element [i] for row y + 8 i and staged vec4 x.
fn weighted_sum(local: vec3u) -> mat4x4f {
  var sum = mat4x4f();
  for (var column = 0u; column < TILE; column++) {
    let factor = factors[column * 8u + local.y];
    let element = right[column * STRIDE + local.x];
    sum[0] = fma(vec4f(factor.x), element, sum[0]);
    sum[1] = fma(vec4f(factor.y), element, sum[1]);
    sum[2] = fma(vec4f(factor.z), element, sum[2]);
    sum[3] = fma(vec4f(factor.w), element, sum[3]);
  }
  return sum;
}
