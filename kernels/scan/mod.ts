/**
 * Elementwise linear recurrences, chunked and parallel over time: the plain scan, and on top of it
 * Griffin's RG-LRU.
 *
 * @module
 */
export * from "./scan.ts";
export * from "./rg_lru.ts";
