// Scores of heads that decay, where a chunk is a whole sequence, from scores that do not:
//   E_ij = exp(sum of g from j + 1 to i) for j ≤ i, else 0
//   score_ij = scale * E_ij * group_score_ij,  weight_ij = E_ij * value_score_ij
// for eight tokens j and all i, from the first on; each i multiplies E_ij by exp(g_i). Transposed, for eight
// tokens i and all j, from the last on. With CARRIED it leaves the decay's gradient
//   log_decay_gradient_t = sum of weight_ij * group_score_ij for j < t ≤ i
// as far as j and t are in one block; for a t of a later block, each i's sum over the block's j in `carried`.
// Dispatch: one invocation per chunk, block and head.

import package::common::exponential::exponential;
import package::common::invocations::{Invocation, WORKGROUP_SIZE, number_of};
import package::linear_attention::chunks::{block_of, scores_at};
import package::linear_attention::tile::{BLOCK, FOURS, HIGH, LOW, Row, products};

struct Shape {
  chunks: u32,
  heads: u32,
  groups: u32,
  blocks: u32, // in a chunk
  transposed: u32, // 0 or 1: which copy is read and written
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read> log_decay: array<f32>; // [rows, heads]
@group(0) @binding(3) var<storage, read> group_scores: array<vec4f>; // [(2), chunks, groups, 8 * blocks, 2 * blocks]
@if(HAS_VALUE_SCORES)
@group(0) @binding(4) var<storage, read> value_scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@if(HAS_SCORES)
@group(0) @binding(5) var<storage, read_write> scores: array<vec4f>; // [(2), chunks, heads, 8 * blocks, 2 * blocks]
@if(HAS_WEIGHTS) // with value scores
@group(0) @binding(6) var<storage, read_write> weights: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@if(HAS_CARRIED) // with weights
@group(0) @binding(7) var<storage, read_write> carried: array<f32>; // [chunks, heads, blocks, 8 * blocks]
@if(HAS_LOG_DECAY_GRADIENT) // with carried
@group(0) @binding(8) var<storage, read_write> log_decay_gradient: array<f32>; // [rows, heads]

// The sums over the places before each.
fn sums_before(x: Row) -> Row {
  let low = vec4f(0.0, x[0].x, x[0].x + x[0].y, x[0].x + x[0].y + x[0].z);
  let first = low.w + x[0].w;
  return Row(low, vec4f(first, first + x[1].x, first + x[1].x + x[1].y, first + x[1].x + x[1].y + x[1].z));
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn head_scores(invocation: Invocation) {
  let block = block_of(number_of(invocation), shape.chunks, shape.blocks, shape.heads, 1u);
  if (block.first >= block.end) {
    return;
  }
  let transposed = shape.transposed == 1u;
  let chunk = block.chunk + select(0u, shape.chunks, transposed);
  let group = block.head / (shape.heads / shape.groups);
  let at_head = scores_at(chunk, block.head, shape.heads, shape.blocks) + block.number * FOURS;
  let at_group = scores_at(chunk, group, shape.groups, shape.blocks) + block.number * FOURS;
  let count = block.end - block.start;
  let own = block.number * BLOCK;
  let steps = select(count - own, min(own + BLOCK, count), transposed);
  var decay = Row(); // E of the block's eight with the token at hand
  @if(HAS_CARRIED)
  var gradient = Row();
  for (var step = 0u; step < steps; step++) {
    let token = select(own + step, steps - 1u - step, transposed);
    let decayed = block.start + min(token + shape.transposed, count - 1u);
    decay *= exponential(log_decay[decayed * shape.heads + block.head]);
    decay = Row(
      select(decay[0], vec4f(1.0), own + LOW == vec4u(token)),
      select(decay[1], vec4f(1.0), own + HIGH == vec4u(token)),
    );
    let line = token * shape.blocks * FOURS;
    let group_score = Row(group_scores[at_group + line], group_scores[at_group + line + 1u]);
    @if(HAS_SCORES) {
      let score = shape.scale * products(decay, group_score);
      scores[at_head + line] = score[0];
      scores[at_head + line + 1u] = score[1];
    }
    @if(HAS_WEIGHTS) {
      let weight = products(decay, Row(value_scores[at_head + line], value_scores[at_head + line + 1u]));
      weights[at_head + line] = weight[0];
      weights[at_head + line + 1u] = weight[1];
      @if(HAS_CARRIED) {
        let term = products(weight, group_score);
        let before = sums_before(term);
        gradient += Row(
          select(vec4f(), before[0], own + LOW <= vec4u(token)),
          select(vec4f(), before[1], own + HIGH <= vec4u(token)),
        );
        carried[((block.chunk * shape.heads + block.head) * shape.blocks + block.number) * shape.blocks * BLOCK +
          token] = before[1].w + term[1].w;
      }
    }
  }
  @if(HAS_LOG_DECAY_GRADIENT)
  @unroll
  for (var t = 0u; t < BLOCK; t++) {
    if (block.first + t < block.end) {
      log_decay_gradient[(block.first + t) * shape.heads + block.head] = gradient[t / 4u][t % 4u];
    }
  }
}
