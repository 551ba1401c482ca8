/**
 * Element-wise arithmetic with broadcasting, its reductions, and copies of columns, rows and time steps.
 *
 * @module
 */
export * from "./broadcast.ts";
export * from "./copies.ts";
export * from "./sum_parts.ts";
