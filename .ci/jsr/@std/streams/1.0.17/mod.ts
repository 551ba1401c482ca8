// The genuine @std/csv stands on this package, so deno.lock names it.
export {};
