// Products of tiles in workgroup memory. 64 invocations, 8 by 8, share a tile of 32 by 32: invocation (x, y) has
// its rows y + 8 i and its columns x + 8 j for i, j < SIDE.

import package::attention::logits::{BLOCK, dot_add};
import package::attention::problem::{HEAD, VALUE, key, key_row, query, query_row, value};

const TILE: u32 = 32u;
const SIDE: u32 = 4u; // rows, and columns, of an invocation
const STRIDE: u32 = BLOCK + 1u; // of a staged row of BLOCK vec4s; one more puts rows in different banks

var<workgroup> left: array<vec4f, TILE * STRIDE>; // the tile's rows
var<workgroup> right: array<vec4f, TILE * STRIDE>; // the tile's columns
var<workgroup> factors: array<vec4f, TILE * 8u>; // [column, y]: the four rows' factors of a column
var<workgroup> seen_rows: array<u32, TILE * 8u>; // [column, y]: which of the four are of pairs that are seen
var<workgroup> reduced: array<vec4f, 64u>; // [x, y]

// Vec4 `column` of a row; 0 past its end.
fn query_at(batch: u32, time: i32, head: u32, column: u32) -> vec4f {
  if (column >= HEAD) {
    return vec4f();
  }
  return vec4f(query[query_row(batch, time, head) * HEAD + column]);
}

fn key_at(batch: u32, time: i32, key_head: u32, column: u32) -> vec4f {
  if (column >= HEAD) {
    return vec4f();
  }
  return vec4f(key[key_row(batch, time, key_head) * HEAD + column]);
}

fn value_at(batch: u32, time: i32, key_head: u32, column: u32) -> vec4f {
  if (column >= VALUE) {
    return vec4f();
  }
  return vec4f(value[key_row(batch, time, key_head) * VALUE + column]);
}

// Where element `i` of TILE rows of BLOCK vec4s is staged.
fn staged(i: u32) -> u32 {
  return i / BLOCK * STRIDE + i % BLOCK;
}

// The products of the staged rows and columns: element [j][i] for row y + 8 i and column x + 8 j.
fn staged_products(local: vec3u) -> mat4x4f {
  var product = mat4x4f();
  for (var d = 0u; d < BLOCK; d++) {
    let a0 = left[local.y * STRIDE + d];
    let a1 = left[(local.y + 8u) * STRIDE + d];
    let a2 = left[(local.y + 16u) * STRIDE + d];
    let a3 = left[(local.y + 24u) * STRIDE + d];
    @unroll for (var j = 0u; j < SIDE; j++) {
      let b = right[(local.x + j * 8u) * STRIDE + d];
      product[j] = vec4f(
        dot_add(a0, b, product[j].x),
        dot_add(a1, b, product[j].y),
        dot_add(a2, b, product[j].z),
        dot_add(a3, b, product[j].w),
      );
    }
  }
  return product;
}

// Keeps the factors of the tile: element [j][i] for row y + 8 i and column x + 8 j.
fn store_factors(local: vec3u, factor: mat4x4f) {
  @unroll for (var j = 0u; j < SIDE; j++) {
    factors[(local.x + j * 8u) * 8u + local.y] = factor[j];
  }
}

// Keeps which of them are of pairs that are seen.
fn store_seen(local: vec3u, seen: array<vec4<bool>, SIDE>) {
  @unroll for (var j = 0u; j < SIDE; j++) {
    seen_rows[(local.x + j * 8u) * 8u + local.y] = dot(vec4u(seen[j]), vec4u(1u, 2u, 4u, 8u));
  }
}

// The staged columns summed with the factors of each row: element [i] for row y + 8 i and staged vec4 x. Where
// the tile is not seen whole, pairs that are not seen are left out, since 0 times NaN is NaN.
fn weighted_sum(local: vec3u, seen_whole: bool) -> mat4x4f {
  var sum = mat4x4f();
  if (seen_whole) {
    for (var column = 0u; column < TILE; column++) {
      let factor = factors[column * 8u + local.y];
      let element = right[column * STRIDE + local.x];
      @unroll for (var i = 0u; i < SIDE; i++) {
        sum[i] = fma(vec4f(factor[i]), element, sum[i]);
      }
    }
    return sum;
  }
  for (var column = 0u; column < TILE; column++) {
    let factor = factors[column * 8u + local.y];
    let element = right[column * STRIDE + local.x];
    let seen = (vec4u(seen_rows[column * 8u + local.y]) & vec4u(1u, 2u, 4u, 8u)) != vec4u();
    @unroll for (var i = 0u; i < SIDE; i++) {
      sum[i] = select(sum[i], fma(vec4f(factor[i]), element, sum[i]), seen[i]);
    }
  }
  return sum;
}

// The sums over the columns' invocations: element [i] for row y + 8 i.
fn sum_columns(local: vec3u, part: vec4f) -> vec4f {
  workgroupBarrier();
  reduced[local.x * 8u + local.y] = part;
  workgroupBarrier();
  var sum = vec4f();
  for (var x = 0u; x < 8u; x++) {
    sum += reduced[x * 8u + local.y];
  }
  return sum;
}
