/**
 * Elementwise linear recurrences, chunked and parallel over time: the plain scan, Griffin's
 * RG-LRU on top of it, and Mamba's selective scan.
 *
 * @module
 */
export * from "./scan.ts";
export * from "./selective_scan.ts";
export * from "./rg_lru.ts";
