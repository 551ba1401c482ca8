// Products of tiles in workgroup memory. ACROSS by ACROSS invocations share a tile of TILE by TILE: invocation
// (x, y) has its rows y + ACROSS i and its columns x + ACROSS j for i, j < SIDE.

import package::attention::logits::{BLOCK, dot_add};
import package::attention::problem::{
  HEAD, VALUE, key, key_head_of, key_row, query, query_row, shape, tile_of, value,
};
import package::common::workgroups::{Workgroup, number_of_workgroup};

const ACROSS: u32 = 8u; // invocations along a side of a tile
const SIDE: u32 = 4u; // rows, and columns, of an invocation
const TILE: u32 = SIDE * ACROSS;
const INVOCATIONS: u32 = ACROSS * ACROSS;
const STRIDE: u32 = BLOCK + 1u; // of a staged row of BLOCK vec4s; one more puts rows in different banks

var<workgroup> left: array<vec4f, TILE * STRIDE>; // the tile's rows
var<workgroup> right: array<vec4f, TILE * STRIDE>; // the tile's columns
var<workgroup> factors: array<vec4f, TILE * ACROSS>; // [column, y]: the four rows' factors of a column
var<workgroup> seen_rows: array<u32, TILE * ACROSS>; // [column, y]: which of the four are of pairs that are seen
var<workgroup> reduced: array<vec4f, INVOCATIONS>; // [x, y]

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

// The tile of queries of a workgroup.
struct Queries {
  batch: u32, // past the last where there is no tile
  head: u32,
  key_head: u32,
  first: i32,
  last: i32,
}

// Dispatch: batch * heads * ceil(query_time / rows) workgroups, folded.
fn queries_of(workgroup: Workgroup, rows: u32) -> Queries {
  let tile = tile_of(number_of_workgroup(workgroup), shape.query_time, rows, shape.heads);
  let last = min(tile.first + i32(rows), shape.query_time) - 1;
  return Queries(tile.batch, tile.head, key_head_of(tile.head), tile.first, last);
}

// The products of a tile of queries, scaled, with the keys from `first_key` on, of which `last_key` is the last.
fn query_key_products(local: vec3u, queries: Queries, first_key: i32, last_key: i32) -> mat4x4f {
  var products = mat4x4f();
  for (var block = 0u; block < HEAD; block += BLOCK) {
    workgroupBarrier();
    for (var i = local.y * ACROSS + local.x; i < TILE * BLOCK; i += INVOCATIONS) {
      let row = i32(i / BLOCK);
      let column = block + i % BLOCK;
      let query_time = min(queries.first + row, queries.last);
      left[staged(i)] = query_at(queries.batch, query_time, queries.head, column) * shape.scale;
      right[staged(i)] = key_at(queries.batch, min(first_key + row, last_key), queries.key_head, column);
    }
    workgroupBarrier();
    products += staged_products(local);
  }
  return products;
}

// The products of the staged rows and columns: element [j][i] for row y + ACROSS i and column x + ACROSS j.
fn staged_products(local: vec3u) -> mat4x4f {
  var product = mat4x4f();
  for (var d = 0u; d < BLOCK; d++) {
    var a: array<vec4f, SIDE>;
    @unroll for (var i = 0u; i < SIDE; i++) {
      a[i] = left[(local.y + i * ACROSS) * STRIDE + d];
    }
    @unroll for (var j = 0u; j < SIDE; j++) {
      let b = right[(local.x + j * ACROSS) * STRIDE + d];
      @unroll for (var i = 0u; i < SIDE; i++) {
        product[j][i] = dot_add(a[i], b, product[j][i]);
      }
    }
  }
  return product;
}

// Keeps the factors of the tile: element [j][i] for row y + ACROSS i and column x + ACROSS j.
fn store_factors(local: vec3u, factor: mat4x4f) {
  @unroll for (var j = 0u; j < SIDE; j++) {
    factors[(local.x + j * ACROSS) * ACROSS + local.y] = factor[j];
  }
}

// Keeps which of them are of pairs that are seen.
fn store_seen(local: vec3u, seen: array<vec4<bool>, SIDE>) {
  @unroll for (var j = 0u; j < SIDE; j++) {
    seen_rows[(local.x + j * ACROSS) * ACROSS + local.y] = dot(vec4u(seen[j]), vec4u(1u, 2u, 4u, 8u));
  }
}

// The staged columns summed with the factors of each row: element [i] for row y + ACROSS i and staged vec4 x. Where
// the tile is not seen whole, pairs that are not seen are left out, since 0 times NaN is NaN.
fn weighted_sum(local: vec3u, seen_whole: bool) -> mat4x4f {
  var sum = mat4x4f();
  if (seen_whole) {
    for (var column = 0u; column < TILE; column++) {
      let factor = factors[column * ACROSS + local.y];
      let element = right[column * STRIDE + local.x];
      @unroll for (var i = 0u; i < SIDE; i++) {
        sum[i] = fma(vec4f(factor[i]), element, sum[i]);
      }
    }
    return sum;
  }
  for (var column = 0u; column < TILE; column++) {
    let factor = factors[column * ACROSS + local.y];
    let element = right[column * STRIDE + local.x];
    let seen = (vec4u(seen_rows[column * ACROSS + local.y]) & vec4u(1u, 2u, 4u, 8u)) != vec4u();
    @unroll for (var i = 0u; i < SIDE; i++) {
      sum[i] = select(sum[i], fma(vec4f(factor[i]), element, sum[i]), seen[i]);
    }
  }
  return sum;
}

// The sums over the columns' invocations: element [i] for row y + ACROSS i.
fn sum_columns(local: vec3u, part: vec4f) -> vec4f {
  workgroupBarrier();
  reduced[local.x * ACROSS + local.y] = part;
  workgroupBarrier();
  var sum = vec4f();
  for (var x = 0u; x < ACROSS; x++) {
    sum += reduced[x * ACROSS + local.y];
  }
  return sum;
}
