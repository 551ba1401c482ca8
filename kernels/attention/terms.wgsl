// What the backward kernels need of a query besides its rows.

import package::attention::problem::Element;
import package::attention::visibility::{Visible, visible_keys};

struct Terms {
  log_sum_exp: f32,
  normalizer: f32, // sum over the keys of exp(logit - log_sum_exp), from the query gradient's kernel
  delta: f32, // sum over the head of dy * y
  start: i32, // the first position of the query's segment
  end: i32, // one past its last
}

@group(0) @binding(5) var<storage, read> y_gradient: array<vec4<Element>>; // [batch, query_time, heads, VALUE]
@group(0) @binding(6) var<storage, read> terms: array<Terms>; // [batch, heads, query_time]

// The keys that the query at `time` sees, by the place of its terms.
fn visible_to(time: i32, term: u32) -> Visible {
  return visible_keys(time, vec2i(terms[term].start, terms[term].end));
}
