// How a workgroup is shared between rows: ROWS of them, LANES invocations each.

override LANES: u32 = 64u; // a power of two
override ROWS: u32 = 1u;
