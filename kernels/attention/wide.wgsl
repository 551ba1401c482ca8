// Products of tiles of 64 by 64 in workgroup memory, of which an invocation has 8 by 8: four multiply-adds for each
// float that it reads there. ACROSS by ACROSS invocations share a tile, whose rows go in fours: invocation (x, y) has
// the fours y and y + ACROSS of its rows, and the columns x + ACROSS j for j < SIDE.

import package::attention::logits::{BLOCK, dot_add};
import package::attention::problem::{HEAD, shape};
import package::attention::tiles::{Queries, key_at, query_at};

const ACROSS: u32 = 8u; // invocations along a side of a tile
const SIDE: u32 = 8u; // rows, and columns, of an invocation
const TILE: u32 = SIDE * ACROSS;
const FOURS: u32 = TILE / 4u; // of rows
const INVOCATIONS: u32 = ACROSS * ACROSS;
const STEP: u32 = 4u; // vec4s of a row that are staged at a time for products; they divide BLOCK
const STRIDE: u32 = STEP + 1u; // of a staged row; one more puts rows in different banks
const SUMMED: u32 = 2u * ACROSS; // vec4s of a row that are staged at a time for weighted sums
const SUMMED_STRIDE: u32 = SUMMED + 1u;
const SUMMED_ROWS: u32 = TILE / 2u; // rows that are staged at a time for weighted sums

alias Rows = array<vec4f, 2>; // a number for each row of an invocation: element [f][i] for row_of(y, 4 f + i)
alias Pairs = array<vec4f, 2u * SIDE>; // and for each column: element [2 j + f][i]
alias Sums = array<vec4f, 2u * SIDE>; // two vec4s for each row: element [SIDE g + r] is vec4 x + ACROSS g of row r

var<workgroup> staged: array<vec4f, 2u * TILE * STRIDE>; // the tile's rows, then its columns; or rows that are summed
var<workgroup> factors: array<vec4f, TILE * FOURS>; // [column, four]
var<workgroup> seen_rows: array<u32, TILE * ACROSS>; // [column, y]: a bit for each of the invocation's rows
var<workgroup> row_parts: array<vec4f, ACROSS * FOURS>; // [x, four]

// Row `r` of the invocations (x, y).
fn row_of(y: u32, r: u32) -> u32 {
  return 4u * (y + r / 4u * ACROSS) + r % 4u;
}

// Where element `i` of TILE rows of STEP vec4s is staged.
fn row_at(i: u32) -> u32 {
  return i / STEP * STRIDE + i % STEP;
}

// Where element `i` of TILE columns of STEP vec4s is staged.
fn column_at(i: u32) -> u32 {
  return TILE * STRIDE + row_at(i);
}

// Where element `i` of SUMMED_ROWS rows of SUMMED vec4s is staged.
fn summed_at(i: u32) -> u32 {
  return i / SUMMED * SUMMED_STRIDE + i % SUMMED;
}

// `sum` with the products of the staged rows and columns added to it.
fn add_products(local: vec3u, sum: Pairs) -> Pairs {
  var products = sum;
  for (var d = 0u; d < STEP; d++) {
    var a: array<vec4f, SIDE>;
    @unroll for (var r = 0u; r < SIDE; r++) {
      a[r] = staged[row_of(local.y, r) * STRIDE + d];
    }
    @unroll for (var j = 0u; j < SIDE; j++) {
      let b = staged[(TILE + local.x + j * ACROSS) * STRIDE + d];
      @unroll for (var r = 0u; r < SIDE; r++) {
        products[2u * j + r / 4u][r % 4u] = dot_add(a[r], b, products[2u * j + r / 4u][r % 4u]);
      }
    }
  }
  return products;
}

// The sum of two blocks of products.
fn join_blocks(a: Pairs, b: Pairs) -> Pairs {
  var sum = a;
  @unroll for (var n = 0u; n < 2u * SIDE; n++) {
    sum[n] += b[n];
  }
  return sum;
}

// The products of a tile of queries, scaled, with the keys from `first_key` on, of which `last_key` is the last.
fn query_key_products(local: vec3u, queries: Queries, first_key: i32, last_key: i32) -> Pairs {
  var products = Pairs();
  for (var block = 0u; block < HEAD; block += BLOCK) {
    var sum = Pairs();
    for (var begin = block; begin < min(block + BLOCK, HEAD); begin += STEP) {
      workgroupBarrier();
      for (var i = local.y * ACROSS + local.x; i < TILE * STEP; i += INVOCATIONS) {
        let row = i32(i / STEP);
        let column = begin + i % STEP;
        let time = min(queries.first + row, queries.last);
        staged[row_at(i)] = query_at(queries.batch, time, queries.head, column) * shape.scale;
        staged[column_at(i)] = key_at(queries.batch, min(first_key + row, last_key), queries.key_head, column);
      }
      workgroupBarrier();
      sum = add_products(local, sum);
    }
    products = join_blocks(products, sum);
  }
  return products;
}

// Which pairs of an invocation are seen: a byte for each column, four columns in a word.
alias Seen = vec2u;

const SEEN_WHOLE: Seen = Seen(0xffffffffu);

// Which of the rows 4 f … 4 f + 3 see column `j`.
fn seen_of(seen: Seen, j: u32, f: u32) -> vec4<bool> {
  let bits = seen[j / 4u] >> (8u * (j % 4u) + 4u * f);
  return (vec4u(bits) & vec4u(1u, 2u, 4u, 8u)) != vec4u();
}

// `seen` with the bit of row `r` and column `j`.
fn with_seen(seen: Seen, j: u32, r: u32, is_seen: bool) -> Seen {
  var bits = seen;
  bits[j / 4u] |= select(0u, 1u << (8u * (j % 4u) + r), is_seen);
  return bits;
}

// Keeps them for add_weighted.
fn store_seen(local: vec3u, seen: Seen) {
  @unroll for (var j = 0u; j < SIDE; j++) {
    seen_rows[(local.x + j * ACROSS) * ACROSS + local.y] = seen[j / 4u] >> (8u * (j % 4u));
  }
}

// Where the factors of an invocation's column `j` and its rows 4 f … 4 f + 3 are.
fn factors_at(local: vec3u, j: u32, f: u32) -> u32 {
  return (local.x + j * ACROSS) * FOURS + local.y + f * ACROSS;
}

// The staged row `n`'s vec4s that an invocation sums up.
fn summed_row(local: vec3u, n: u32) -> array<vec4f, 2> {
  let at = n * SUMMED_STRIDE + local.x;
  return array<vec4f, 2>(staged[at], staged[at + ACROSS]);
}

fn factors_of(local: vec3u, column: u32) -> Rows {
  let at = column * FOURS + local.y;
  return Rows(factors[at], factors[at + ACROSS]);
}

// `sum` with the staged rows, which are those of the columns from `first` on, added to it, weighted by the factors of
// each row. Where the tile is not seen whole, pairs that are not seen are left out, since 0 times NaN is NaN.
fn add_weighted(local: vec3u, first: u32, seen_whole: bool, sum: Sums) -> Sums {
  var sums = sum;
  if (seen_whole) {
    for (var n = 0u; n < SUMMED_ROWS; n++) {
      let element = summed_row(local, n);
      let factor = factors_of(local, first + n);
      @unroll for (var s = 0u; s < 2u * SIDE; s++) {
        sums[s] = fma(vec4f(factor[s % SIDE / 4u][s % 4u]), element[s / SIDE], sums[s]);
      }
    }
    return sums;
  }
  for (var n = 0u; n < SUMMED_ROWS; n++) {
    let element = summed_row(local, n);
    let factor = factors_of(local, first + n);
    let seen = seen_rows[(first + n) * ACROSS + local.y];
    @unroll for (var s = 0u; s < 2u * SIDE; s++) {
      let added = fma(vec4f(factor[s % SIDE / 4u][s % 4u]), element[s / SIDE], sums[s]);
      sums[s] = select(sums[s], added, (seen & (1u << (s % SIDE))) != 0u);
    }
  }
  return sums;
}

// The largest of each row, of `part` of the columns of this invocation.
fn largest_of_columns(local: vec3u, part: Rows) -> Rows {
  share_rows(local, part);
  var largest = part;
  for (var x = 0u; x < ACROSS; x++) {
    @unroll for (var f = 0u; f < 2u; f++) {
      largest[f] = max(largest[f], row_parts[x * FOURS + local.y + f * ACROSS]);
    }
  }
  return largest;
}

// The sums of each row, of `part` over the columns of this invocation.
fn sum_columns(local: vec3u, part: Rows) -> Rows {
  share_rows(local, part);
  var sum = Rows();
  for (var x = 0u; x < ACROSS; x++) {
    @unroll for (var f = 0u; f < 2u; f++) {
      sum[f] += row_parts[x * FOURS + local.y + f * ACROSS];
    }
  }
  return sum;
}

fn share_rows(local: vec3u, part: Rows) {
  workgroupBarrier();
  @unroll for (var f = 0u; f < 2u; f++) {
    row_parts[local.x * FOURS + local.y + f * ACROSS] = part[f];
  }
  workgroupBarrier();
}
