// A register tile: a block of eight tokens, or eight keys of a state, and eight numbers of each.

const BLOCK = 8u; // tokens of a block, the unit in which decays are carried
const FOURS = 2u; // vec4s that hold a number of each of them

alias Row = mat2x4f; // eight numbers: a tile's row, or its column

const LOW = vec4u(0u, 1u, 2u, 3u); // the places in a Row
const HIGH = vec4u(4u, 5u, 6u, 7u);

fn products(a: Row, b: Row) -> Row {
  return Row(a[0] * b[0], a[1] * b[1]);
}

// Four tokens and eight numbers of each, in low and high; or eight rows of four numbers.
struct Strip {
  low: mat4x4f,
  high: mat4x4f,
}

// The four tokens' sum with these factors.
fn weighted(strip: Strip, factors: vec4f) -> Row {
  return Row(strip.low * factors, strip.high * factors);
}

// The eight rows' products with four numbers.
fn projected(strip: Strip, x: vec4f) -> Row {
  return Row(x * strip.low, x * strip.high);
}

// Eight rows of four, from a column of the tile in each of eight Rows: half 0 has the first four places.
fn transposed_half(rows: array<Row, BLOCK>, half: u32) -> Strip {
  return Strip(
    transpose(mat4x4f(rows[0][half], rows[1][half], rows[2][half], rows[3][half])),
    transpose(mat4x4f(rows[4][half], rows[5][half], rows[6][half], rows[7][half])),
  );
}

// Four numbers of each token of a block, as a Row for each of the four.
fn by_key(tokens: array<vec4f, BLOCK>) -> array<Row, 4> {
  let low = transpose(mat4x4f(tokens[0], tokens[1], tokens[2], tokens[3]));
  let high = transpose(mat4x4f(tokens[4], tokens[5], tokens[6], tokens[7]));
  return array<Row, 4>(
    Row(low[0], high[0]),
    Row(low[1], high[1]),
    Row(low[2], high[2]),
    Row(low[3], high[3]),
  );
}

// The same back again.
fn by_token(keys: array<Row, 4>) -> array<vec4f, BLOCK> {
  let low = transpose(mat4x4f(keys[0][0], keys[1][0], keys[2][0], keys[3][0]));
  let high = transpose(mat4x4f(keys[0][1], keys[1][1], keys[2][1], keys[3][1]));
  return array<vec4f, BLOCK>(low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]);
}
