/** Whether an open file is still the one that its path leads to: not deleted, not replaced. */
export async function sameFile(file: Deno.FsFile, path: string): Promise<boolean> {
  const [held, there] = await Promise.all([
    file.stat(),
    Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }),
  ]);
  return there !== undefined && there.dev === held.dev && there.ino === held.ino;
}
