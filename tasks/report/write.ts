import { basename, join, resolve } from "@std/path";
import type { Row } from "../sweep/rows.ts";
import { makePage } from "./page.ts";

/** What {@linkcode writeReport} wrote. */
export interface ReportFiles {
  /** The page. */
  readonly page: string;
  /** The pictures. */
  readonly pictures: readonly string[];
}

/**
 * Writes `report.html` and its pictures as SVG files into a folder.
 *
 * @throws {Error} where there are no rows, or the folder cannot be written.
 */
export async function writeReport(folder: string, rows: readonly Row[]): Promise<ReportFiles> {
  if (rows.length === 0) throw new Error("Cannot make a report as there are no results");
  // The plotting library takes a moment to load: only those who draw wait for it.
  const { makePictures, standAlone } = await import("./pictures.ts");
  const pictures = makePictures(rows);
  const page = join(folder, "report.html");
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(page, makePage(rows, pictures, { title: basename(resolve(folder)) }));
    const files: string[] = [];
    for (const picture of pictures) {
      const file = join(folder, `${picture.name}.svg`);
      await Deno.writeTextFile(file, standAlone(picture));
      files.push(file);
    }
    return { page, pictures: files };
  } catch (error) {
    throw new Error(
      `Cannot write the report into ${folder}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}
