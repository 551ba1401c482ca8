// The gradients of b and c side by side, as blocks of channels leave them: [blocks, batch, time, 2, STATES].

const OF_B = 0u;
const OF_C = 1u;
