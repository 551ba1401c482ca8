// What the stand-ins for JSR import for the sake of deno.lock.
export {};
