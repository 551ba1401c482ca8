// One key dimension of a block's tokens on the way back through their sums: see block_gradient.

import package::linear_attention::tile::{BLOCK, HIGH, LOW, Row, products};

override BONUS: bool = false; // an output reads the state before its token's update

struct Dimension {
  query: Row,
  decay: Row, // E_ij of the tokens i
  query_gradient: Row,
  log_decay_gradient: Row,
  after: f32, // exp(sum of g after j)
  key_gradient: f32, // of j
}

// The tokens from `first` on have x, those before it y.
fn from_token(first: u32, x: Row, y: Row) -> Row {
  return Row(
    select(y[0], x[0], LOW >= vec4u(first)),
    select(y[1], x[1], HIGH >= vec4u(first)),
  );
}

// Adds to the decay's gradient of tokens t the terms of tokens i ≥ t, or i > t with BONUS.
fn add_suffix_sums(dimension: Dimension, terms: Row, from_t: u32) -> Dimension {
  var out = dimension;
  var sums = Row();
  var sum = 0.0;
  @unroll
  for (var n = 0u; n < BLOCK; n++) {
    const i = BLOCK - 1u - n; // from the last
    if (BONUS) {
      sums[i / 4u][i % 4u] = sum;
    }
    sum += terms[i / 4u][i % 4u];
    if (!BONUS) {
      sums[i / 4u][i % 4u] = sum;
    }
  }
  out.log_decay_gradient += from_token(from_t, sums, Row());
  return out;
}

// Token j: its key, decay, gradient from after the block, and column of B.
fn add_token(dimension: Dimension, j: u32, key_j: f32, decay: f32, outside: f32, b: Row) -> Dimension {
  var out = dimension;
  let read = products(b, dimension.decay);
  out.query_gradient += read * key_j;
  let pairs = products(read, dimension.query);
  let from_outside = outside * dimension.after;
  out.key_gradient = from_outside + dot(pairs[0] + pairs[1], vec4f(1.0));
  out = add_suffix_sums(out, pairs * key_j, j + 1u);
  let carried = vec4f(from_outside * key_j);
  out.log_decay_gradient += from_token(j + 1u, Row(carried, carried), Row());
  out.decay = from_token(select(j, j + 1u, BONUS), out.decay * decay, out.decay);
  out.after *= decay;
  return out;
}

// The query's gradient from before the block: decayed to each token.
fn finish(dimension: Dimension, outside: Row) -> Dimension {
  var out = dimension;
  let from_outside = products(outside, dimension.decay);
  out.query_gradient += from_outside;
  return add_suffix_sums(out, products(from_outside, dimension.query), 0u);
}
