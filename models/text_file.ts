/** Bytes of a file that describes something: configurations, recipes, templates. */
export const LARGEST_DESCRIPTION: number = 64 * 2 ** 20;

/**
 * The text of a file that comes from elsewhere, which is not read where it is larger than any such file.
 *
 * @param most The most bytes. @default 64 MiB
 * @throws {Deno.errors.NotFound} if there is none. @throws {Error} where it is larger.
 */
export async function readBoundedText(path: string, most = LARGEST_DESCRIPTION): Promise<string> {
  const { size } = await Deno.stat(path);
  if (size > most) {
    throw new Error(`Cannot read ${path} as it has ${size} bytes, more than ${most}`);
  }
  return await Deno.readTextFile(path);
}
