// What is summed over the lanes of a row.

@link
alias Sum = f32; // or vec2f
