// The genuine @std/csv stands on this package, so deno.lock names it.
import "jsr:@std/bytes@^1.0.6/concat";
