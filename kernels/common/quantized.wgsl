// Rows of weights in integers of BITS bits, in groups of GROUP with one scale each: the weight is
// integer * largest / (2^(BITS - 1) - 1), with the group's largest absolute value in 16 bits.

@link
const BITS: u32 = 8u; // or 4

const GROUP = 32u;
const LARGEST_INTEGER = (1u << (BITS - 1u)) - 1u;

// Words of a row's integers, and of its scales.
fn words_of(columns: u32) -> vec2u {
  let groups = (columns + GROUP - 1u) / GROUP;
  return vec2u(groups * BITS, (groups + 1u) / 2u);
}

// Which word of its row holds the integer of a column.
fn word_of(column: u32) -> u32 {
  return column * BITS / 32u;
}

// The integers of four columns from one on that is a multiple of 4, from the word that holds them.
fn integers_of(word: u32, column: u32) -> vec4f {
  // Each goes to the top of a word and down again, with its sign.
  let tops = vec4u(32u - BITS) - BITS * vec4u(0u, 1u, 2u, 3u);
  let lowest = vec4i(i32(word >> (column * BITS % 32u)));
  return vec4f((lowest << tops) >> vec4u(32u - BITS));
}

// Which word of its row's scales holds that of a column.
fn scale_word_of(column: u32) -> u32 {
  return column / (2u * GROUP);
}

// What the integers of a column's group are multiplied by, from that word.
fn step_of(word: u32, column: u32) -> f32 {
  let largest = unpack2x16float(word);
  return select(largest.x, largest.y, column / GROUP % 2u == 1u) * (1.0 / f32(LARGEST_INTEGER));
}
