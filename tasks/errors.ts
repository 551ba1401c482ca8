/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What went wrong with a file that is named already: "Permission denied", "No space left on device". */
export function reasonOf(error: unknown): string {
  return messageOf(error).replace(/ \(os error \d+\)(?:: .*)?$/s, "");
}
