// The query's gradient, up to the tokens of its own block, decayed to the block's start only:
//   gradient_i = scale * state output_gradient_i                     (the state before the chunk)
//              + sum over earlier blocks' tokens j of value_score_ij key_j
// by Horner's rule over the blocks of 8 tokens: gradient = block's decay * gradient + sum in the block.
// Reversed, the same for the key's gradient, decayed to its block's end: from the state's gradient
// after the chunk, over later blocks from the last, with queries. Without decay the own block is
// included, and the gradient is whole.
// With decay it also leaves, for decay_carry, what reaches over whole blocks: the sums over the own
// tokens of decayed_query_i * gradient_i before each earlier block (reversed: of
// decayed_key_j * gradient_j before any).
// Dispatch: one invocation per chunk, block, head and tile of 8 tokens × 8 keys in registers.

override WORKGROUP_SIZE: u32 = 64u;

@link
alias Element = f32; // or f16: how the caller's rows are stored; all arithmetic is in f32
@link
alias DecayedElement = f32; // Element where queries and keys are not decayed

struct Shape {
  chunks: u32,
  heads: u32,
  other_heads: u32,
  key_vectors: u32,
  value_vectors: u32,
  blocks: u32, // in a chunk
  other_offset: i32, // of row 0 of the keys (reversed: queries); it may lie before decayed, and wrap
  own_offset: i32, // of row 0 of the queries (reversed: keys)
  reversed: u32, // 0 or 1
  scale: f32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> chunks: array<vec2u>; // [chunks]: first row, end
@group(0) @binding(2) var<storage, read> rows_of_values: array<vec4<Element>>; // [rows, heads, value_vectors]
@group(0) @binding(3) var<storage, read> decayed: array<vec4<DecayedElement>>; // [.., rows, other_heads, key_vectors]
@if(HAS_DECAYS)
@group(0) @binding(4) var<storage, read> decays: array<vec4f>; // [chunks, blocks, heads, 3, key_vectors]
@group(0) @binding(5) var<storage, read> scores: array<vec4f>; // [2, chunks, heads, 8 * blocks, 2 * blocks]
@group(0) @binding(6) var<storage, read> states: array<vec4f>; // [chunks, heads, keys, value_vectors]
@group(0) @binding(7) var<storage, read_write> gradient: array<vec4f>; // [rows, heads, key_vectors]
// [chunks, blocks, heads, blocks, key_vectors]; reversed [chunks, blocks, heads, key_vectors]
@if(HAS_CARRIED) // with decays
@group(0) @binding(8) var<storage, read_write> carried: array<vec4f>;

// 8 keys of a token.
alias Row = mat2x4f;

var<private> row0: Row;
var<private> row1: Row;
var<private> row2: Row;
var<private> row3: Row;
var<private> row4: Row;
var<private> row5: Row;
var<private> row6: Row;
var<private> row7: Row;

fn decay(low: vec4f, high: vec4f) {
  row0 = Row(row0[0] * low, row0[1] * high);
  row1 = Row(row1[0] * low, row1[1] * high);
  row2 = Row(row2[0] * low, row2[1] * high);
  row3 = Row(row3[0] * low, row3[1] * high);
  row4 = Row(row4[0] * low, row4[1] * high);
  row5 = Row(row5[0] * low, row5[1] * high);
  row6 = Row(row6[0] * low, row6[1] * high);
  row7 = Row(row7[0] * low, row7[1] * high);
}

fn own_row(at: u32, inside: bool) -> Row {
  return Row(select(vec4f(), vec4f(decayed[at]), inside), select(vec4f(), vec4f(decayed[at + 1u]), inside));
}

fn products(a: Row, b: Row) -> Row {
  return Row(a[0] * b[0], a[1] * b[1]);
}

fn store(row: u32, last: u32, column: u32, keys: Row) {
  if (row <= last) {
    let slot = row * shape.heads * shape.key_vectors + column;
    gradient[slot] = keys[0];
    gradient[slot + 1u] = keys[1];
  }
}

@compute @workgroup_size(WORKGROUP_SIZE)
fn input_gradient(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let index = (workgroup.x + workgroup.y * workgroups.x) * WORKGROUP_SIZE + local.x;
  let reversed = shape.reversed == 1u;
  let tiles = shape.key_vectors / 2u;
  let key_vector = index % tiles * 2u;
  let head = index / tiles % shape.heads;
  let block = index / (tiles * shape.heads) % shape.blocks;
  let chunk = index / (tiles * shape.heads * shape.blocks);
  if (chunk >= shape.chunks) {
    return;
  }
  let rows = chunks[chunk];
  let first = rows.x + block * 8u;
  if (first >= rows.y) {
    return;
  }
  let last = rows.y - 1u;
  let row_low = min(first + vec4u(0u, 1u, 2u, 3u), vec4u(last));
  let row_high = min(first + vec4u(4u, 5u, 6u, 7u), vec4u(last));

  let x_low = (row_low * shape.heads + head) * shape.value_vectors;
  let x_high = (row_high * shape.heads + head) * shape.value_vectors;
  let state = ((chunk * shape.heads + head) * shape.key_vectors + key_vector) * 4u *
    shape.value_vectors;
  let line = state + vec4u(0u, 1u, 2u, 3u) * shape.value_vectors;
  let next_line = line + 4u * shape.value_vectors;
  for (var vector = 0u; vector < shape.value_vectors; vector++) {
    let low = mat4x4f(
      states[line.x + vector],
      states[line.y + vector],
      states[line.z + vector],
      states[line.w + vector],
    );
    let high = mat4x4f(
      states[next_line.x + vector],
      states[next_line.y + vector],
      states[next_line.z + vector],
      states[next_line.w + vector],
    );
    let x0 = vec4f(rows_of_values[x_low.x + vector]);
    let x1 = vec4f(rows_of_values[x_low.y + vector]);
    let x2 = vec4f(rows_of_values[x_low.z + vector]);
    let x3 = vec4f(rows_of_values[x_low.w + vector]);
    let x4 = vec4f(rows_of_values[x_high.x + vector]);
    let x5 = vec4f(rows_of_values[x_high.y + vector]);
    let x6 = vec4f(rows_of_values[x_high.z + vector]);
    let x7 = vec4f(rows_of_values[x_high.w + vector]);
    row0 += Row(x0 * low, x0 * high);
    row1 += Row(x1 * low, x1 * high);
    row2 += Row(x2 * low, x2 * high);
    row3 += Row(x3 * low, x3 * high);
    row4 += Row(x4 * low, x4 * high);
    row5 += Row(x5 * low, x5 * high);
    row6 += Row(x6 * low, x6 * high);
    row7 += Row(x7 * low, x7 * high);
  }
  decay(vec4f(shape.scale), vec4f(shape.scale));

  let other_head = head / (shape.heads / shape.other_heads);
  let stride = shape.other_heads * shape.key_vectors;
  let column = other_head * shape.key_vectors + key_vector;
  @if(HAS_CARRIED)
  let own = u32(shape.own_offset) + column;
  @if(HAS_CARRIED)
  let own0 = own_row(own + row_low.x * stride, first + 0u <= last);
  @if(HAS_CARRIED)
  let own1 = own_row(own + row_low.y * stride, first + 1u <= last);
  @if(HAS_CARRIED)
  let own2 = own_row(own + row_low.z * stride, first + 2u <= last);
  @if(HAS_CARRIED)
  let own3 = own_row(own + row_low.w * stride, first + 3u <= last);
  @if(HAS_CARRIED)
  let own4 = own_row(own + row_high.x * stride, first + 4u <= last);
  @if(HAS_CARRIED)
  let own5 = own_row(own + row_high.y * stride, first + 5u <= last);
  @if(HAS_CARRIED)
  let own6 = own_row(own + row_high.z * stride, first + 6u <= last);
  @if(HAS_CARRIED)
  let own7 = own_row(own + row_high.w * stride, first + 7u <= last);
  let used_blocks = (rows.y - rows.x + 7u) / 8u;
  let line_vectors = shape.blocks * 2u;
  let copy = select(0u, shape.chunks, reversed);
  let score_line = (((copy + chunk) * shape.heads + head) * shape.blocks + block) * 8u * line_vectors;
  @if(HAS_DECAYS)
  let included = 0u; // block_gradient sees to the own block
  @else
  let included = 1u;
  let steps = select(block, used_blocks - 1u - block, reversed) + included;
  for (var step = 0u; step <= steps; step++) {
    @if(HAS_CARRIED)
    if (!reversed || step == 0u) {
      let sum = products(own0, row0) + products(own1, row1) + products(own2, row2) +
        products(own3, row3) + products(own4, row4) + products(own5, row5) +
        products(own6, row6) + products(own7, row7);
      var slot = ((chunk * shape.blocks + block) * shape.heads + head) * shape.key_vectors + key_vector;
      if (!reversed) {
        slot = (((chunk * shape.blocks + block) * shape.heads + head) * shape.blocks + step) *
          shape.key_vectors + key_vector;
      }
      carried[slot] = sum[0];
      carried[slot + 1u] = sum[1];
    }
    if (step == steps) {
      break;
    }
    let other = select(step, used_blocks - 1u - step, reversed);
    @if(HAS_DECAYS) {
      let slot = (((chunk * shape.blocks + other) * shape.heads + head) * 3u + 1u) *
        shape.key_vectors + key_vector;
      decay(decays[slot], decays[slot + 1u]);
    }
    for (var vector = other * 2u; vector < other * 2u + 2u; vector++) {
      let at = u32(shape.other_offset) + column +
        min(rows.x + vector * 4u + vec4u(0u, 1u, 2u, 3u), vec4u(last)) * stride;
      let low = mat4x4f(
        vec4f(decayed[at.x]),
        vec4f(decayed[at.y]),
        vec4f(decayed[at.z]),
        vec4f(decayed[at.w]),
      );
      let high = mat4x4f(
        vec4f(decayed[at.x + 1u]),
        vec4f(decayed[at.y + 1u]),
        vec4f(decayed[at.z + 1u]),
        vec4f(decayed[at.w + 1u]),
      );
      let b0 = scores[score_line + 0u * line_vectors + vector];
      let b1 = scores[score_line + 1u * line_vectors + vector];
      let b2 = scores[score_line + 2u * line_vectors + vector];
      let b3 = scores[score_line + 3u * line_vectors + vector];
      let b4 = scores[score_line + 4u * line_vectors + vector];
      let b5 = scores[score_line + 5u * line_vectors + vector];
      let b6 = scores[score_line + 6u * line_vectors + vector];
      let b7 = scores[score_line + 7u * line_vectors + vector];
      row0 += Row(low * b0, high * b0);
      row1 += Row(low * b1, high * b1);
      row2 += Row(low * b2, high * b2);
      row3 += Row(low * b3, high * b3);
      row4 += Row(low * b4, high * b4);
      row5 += Row(low * b5, high * b5);
      row6 += Row(low * b6, high * b6);
      row7 += Row(low * b7, high * b7);
    }
  }
  let target_column = head * shape.key_vectors + key_vector;
  store(first + 0u, last, target_column, row0);
  store(first + 1u, last, target_column, row1);
  store(first + 2u, last, target_column, row2);
  store(first + 3u, last, target_column, row3);
  store(first + 4u, last, target_column, row4);
  store(first + 5u, last, target_column, row5);
  store(first + 6u, last, target_column, row6);
  store(first + 7u, last, target_column, row7);
}
