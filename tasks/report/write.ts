import { join } from "@std/path";
import type { RecallChoice } from "./recall.ts";
import { joinRuns, type Run } from "./runs.ts";

/** What {@linkcode writeReport} wrote. */
export interface ReportFiles {
  /** The page. */
  readonly page: string;
  /** The pictures. */
  readonly pictures: readonly string[];
}

/** What a report shows, where its user chooses. */
export interface ReportOptions {
  /** At which task and length recall is compared with the state; the most telling unless told. */
  readonly recall?: RecallChoice;
}

/**
 * Writes `report.html` and its pictures as SVG files into a folder: of one run, or of several side
 * by side.
 *
 * @throws {Error} where there are no rows, two runs have one name, or the folder cannot be written.
 */
export async function writeReport(
  folder: string,
  runs: readonly Run[],
  { recall }: ReportOptions = {},
): Promise<ReportFiles> {
  const results = joinRuns(runs);
  // The plotting library takes a moment to load: only those who draw wait for it.
  const [{ makePictures, standAlone }, { makePage }] = await Promise.all([
    import("./pictures.ts"),
    import("./page.ts"),
  ]);
  const pictures = makePictures(results, recall);
  const page = join(folder, "report.html");
  try {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(page, makePage(results, pictures));
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
