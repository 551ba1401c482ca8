// Stored elements as 32-bit or as 16-bit floats, into a part of a tensor.
// Dispatch: four words of what is written an invocation, folded past 65,535 workgroups.

@if(TO_F16)
import package::storage::halves::{half_of, is_past_halves};
import package::storage::stored::stored_at;

struct Shape {
  elements: u32,
  first_word: u32, // of the tensor, that is written
  flag: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> target_words: array<u32>; // f32; or f16, two a word
@if(TO_F16)
@group(0) @binding(3) var<storage, read_write> flags: array<atomic<u32>>; // 1: a number is past 16 bits

@if(TO_F16)
const PER_WORD = 2u;
@else
const PER_WORD = 1u;

@if(TO_F16)
fn half_at(index: u32) -> u32 {
  if (index >= shape.elements) {
    return 0u;
  }
  let value = stored_at(index);
  if (is_past_halves(value)) {
    atomicMax(&flags[shape.flag], 1u);
  }
  return half_of(value);
}

fn word_at(word: u32) -> u32 {
  @if(TO_F16)
  return half_at(2u * word) | (half_at(2u * word + 1u) << 16u);
  @else
  return bitcast<u32>(stored_at(word));
}

@compute @workgroup_size(64)
fn convert(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let words = (shape.elements + PER_WORD - 1u) / PER_WORD;
  let first = 4u * ((workgroup.x + workgroup.y * workgroups.x) * 64u + lane);
  for (var word = first; word < min(first + 4u, words); word++) {
    target_words[shape.first_word + word] = word_at(word);
  }
}
