// The genuine @std/assert, @std/cli and @std/path stand on this package, so deno.lock names it.
export {};
