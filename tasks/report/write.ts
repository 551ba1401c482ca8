import { join, relative } from "@std/path";
import { replaceFile } from "../../models/checkpoints/replace_file.ts";
import type { RecallChoice } from "./recall.ts";
import { joinRuns, type Run } from "./runs.ts";
import { makeSamplesPage, SAMPLES_PAGE } from "./samples_page.ts";

/** What {@linkcode writeReport} wrote. */
export interface ReportFiles {
  /** The page. */
  readonly page: string;
  /** The pictures as SVG files; those of other kinds lie beside them. */
  readonly pictures: readonly string[];
  /** The kinds of files that could not be made, as what draws them may not be read, each with why. */
  readonly left: readonly { readonly kind: PictureFile; readonly reason: string }[];
}

/** The kinds of files that a picture may have. */
export const PICTURE_FILES = ["svg", "png", "pdf"] as const;

/** One of {@linkcode PICTURE_FILES}. */
export type PictureFile = typeof PICTURE_FILES[number];

/** What a report shows, where its user chooses. */
export interface ReportOptions {
  /** At which task and length recall is compared with the state. @default the most telling */
  readonly recall?: RecallChoice;
  /**
   * The kinds of the pictures' files besides SVG, which they always have; none is quicker.
   *
   * @default ["png", "pdf"]
   */
  readonly files?: readonly Exclude<PictureFile, "svg">[];
}

/** What draws a stand-alone SVG picture as another kind of file, loaded where it is needed. */
const RENDERERS = {
  png: async (svg: string): Promise<Uint8Array> => (await import("./png.ts")).renderPng(svg),
  pdf: async (svg: string): Promise<Uint8Array> => (await import("./pdf.ts")).renderPdf(svg),
};

/**
 * Writes `report.html` and its pictures into a folder as SVG, PNG and PDF files: of one run, or of
 * several side by side.
 *
 * @throws {Error} where there are no rows, two runs have one name, or the folder cannot be written.
 */
export async function writeReport(
  folder: string,
  runs: readonly Run[],
  { recall, files = ["png", "pdf"] }: ReportOptions = {},
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
    const left = pictures.length === 0 ? [] : await notDrawn(files, standAlone(pictures[0]));
    const drawn = files.filter((kind) => left.every((other) => other.kind !== kind));
    await replaceFile(page, makePage(results, pictures, ["svg", ...drawn], pathFrom(folder)));
    const samples = makeSamplesPage(results);
    if (samples !== undefined) await replaceFile(join(folder, SAMPLES_PAGE), samples);
    const written: string[] = [];
    for (const picture of pictures) {
      const svg = standAlone(picture);
      const file = (kind: PictureFile): string => join(folder, `${picture.name}.${kind}`);
      await replaceFile(file("svg"), svg);
      for (const kind of drawn) await replaceFile(file(kind), await RENDERERS[kind](svg));
      written.push(file("svg"));
    }
    return { page, pictures: written, left };
  } catch (error) {
    throw new Error(
      `Cannot write the report into ${folder}: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}

/** The kinds that cannot be drawn, as a package's file is not among those that may be read. */
async function notDrawn(
  kinds: readonly Exclude<PictureFile, "svg">[],
  svg: string,
): Promise<{ kind: PictureFile; reason: string }[]> {
  const left: { kind: PictureFile; reason: string }[] = [];
  for (const kind of kinds) {
    try {
      await RENDERERS[kind](svg);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
      left.push({ kind, reason: error.message });
    }
  }
  return left;
}

/** A file's path from a folder, as a link has it. */
function pathFrom(folder: string): (file: string) => string {
  return (file) => {
    const path = relative(folder, file);
    return Deno.build.os === "windows" ? path.replaceAll("\\", "/") : path;
  };
}
