// What an invocation takes of a row at a time: a float, or four where a row is whole vec4s (FOURS).

@if(FOURS)
alias Element = vec4f;
@else
alias Element = f32;

// The sum of the floats of an element.
fn total(value: Element) -> f32 {
  @if(FOURS)
  return (value.x + value.y) + (value.z + value.w);
  @else
  return value;
}
