// The genuine @std/streams stands on this package, so deno.lock names it.
export {};
